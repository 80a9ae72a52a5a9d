# SPDX-License-Identifier: BSD-3-Clause
# What a shell on another machine does for ssh.py: sh -c PROGRAM stackduel MODE WORDS…
# ssh.py sends it as one line, for the login shell there may be any: a comment has a line of its own, and every other
# line ends where a word may.
PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL;
mode=$1; shift;
case $mode in
run) exec "$@";;
# keep a directory that lasts as long as the connection
directory)
    d=${TMPDIR:-/tmp}/$1; mkdir -m 700 "$d" || exit 1;
    echo "$d"; while read -r line; do :; done; rm -rf "$d"; exit 0;;
# say when it could begin, and begin at a line on its stdin
poised) echo POISED; read -r go || exit 1;;
esac;
# a line on its stdin is a signal for the program, the end of stdin is the end of both
ulimit -n "$(ulimit -H -n)" 2>/dev/null;
exec 3<&0;
"$@" </dev/null 3<&- & program=$!;
{ while read -r name <&3; do kill -"$name" $program; done; kill -KILL $program; } >/dev/null 2>&1 & watch=$!;
wait $program; code=$?; kill $watch 2>/dev/null; exit $code
