/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and the statuses they must get, however they are cut into pieces: the table of test_http.c. */
#ifndef STACKDUEL_HTTP_SAMPLES_H
#define STACKDUEL_HTTP_SAMPLES_H

#include <stddef.h>

#include <llhttp.h>

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST
#define POISON "GET / HTTP/1.1\r\n" HOST "\r\n" /* must be swallowed after a request that closes */

/* A field over several lines may be refused or read as one (RFC 9112, 5.2): llhttp 8 reads it. */
#if LLHTTP_VERSION_MAJOR >= 9
#define OBS_FOLD "400."
#else
#define OBS_FOLD "200"
#endif

static const struct sample {
    const char *name;
    const char *request;
    size_t size;
    const char *answers; /* statuses in order; '.' at the end: the connection is closed */
} samples[] = {
#define SAMPLE(name, request, answers)                                                                       \
    { name, request, sizeof(request) - 1, answers }
    SAMPLE("nothing", "", ""),
    SAMPLE("get", GET "\r\n", "200"),
    SAMPLE("head", "HEAD / HTTP/1.1\r\n" HOST "\r\n", "200"),
    SAMPLE("any path", "GET /a/b;c?d=%20&e HTTP/1.1\r\n" HOST "\r\n", "200"),
    SAMPLE("absolute target", "GET http://a/b HTTP/1.1\r\n" HOST "\r\n", "200"),
    SAMPLE("three, pipelined", GET "\r\n" GET "\r\nHEAD / HTTP/1.1\r\n" HOST "\r\n", "200 200 200"),
    SAMPLE("blank lines before", "\r\n\r\n" GET "\r\n", "200"),
    SAMPLE("blank lines between", GET "\r\n\r\n\r\n" GET "\r\n", "200 200"),
    SAMPLE("incomplete", GET "X: y\r\n", ""),
    SAMPLE("close", GET "Connection: close\r\n\r\n" POISON, "200."),
    SAMPLE("close in a list", GET "Connection: x, Close\r\n\r\n" POISON, "200."),
    SAMPLE("1.0", "GET / HTTP/1.0\r\n\r\n" POISON, "200."),
    SAMPLE("1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" GET "\r\n", "200 200"),
    SAMPLE("1.0 both", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" POISON, "200."),
    SAMPLE("1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", "200"),
    SAMPLE("upgrade ignored", GET "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" GET "\r\n", "200 200"),
    SAMPLE("h2c ignored", GET "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" GET "\r\n", "200 200"),
    SAMPLE("obs-fold", GET "X: a\r\n b\r\n\r\n", OBS_FOLD),
    SAMPLE("obs-text", GET "X: \xff\xfe\r\n\r\n", "200"),
    SAMPLE("empty value", GET "X:\r\n\r\n", "200"),
    SAMPLE("long field name", GET "X-A-Name-Longer-Than-Any-We-Look-For-Host: y\r\n\r\n", "200"),
    SAMPLE("body", GET "Content-Length: 3\r\n\r\nabc" GET "\r\n", "200 200"),
    SAMPLE("body looks like a request", GET "Content-Length: 27\r\n\r\n" POISON GET "\r\n", "200 200"),
    SAMPLE("body of head", "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET "\r\n", "200 200"),
    SAMPLE("empty body", GET "Content-Length: 0\r\n\r\n" GET "\r\n", "200 200"),
    SAMPLE("chunked", GET "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n" GET "\r\n",
           "200 200"),
    SAMPLE("chunked, case", GET "transfer-encoding: \t Chunked \r\n\r\n0\r\n\r\n" GET "\r\n", "200 200"),
    SAMPLE("trailer", GET "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b c\r\nX: y\r\n\r\n" GET "\r\n",
           "200 200"),
    SAMPLE("body and close", GET "Connection: close\r\nContent-Length: 1\r\n\r\nx" POISON, "200."),
    SAMPLE("expect without body", GET "Expect: 100-continue\r\n\r\n", "200"),
    SAMPLE("host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "200"),
    SAMPLE("host with port", "GET / HTTP/1.1\r\nhOST: \t[::1]:80 \t\r\n\r\n", "200"),
    SAMPLE("no host", "GET / HTTP/1.1\r\n\r\n" POISON, "400."),
    SAMPLE("two hosts", GET HOST "\r\n" POISON, "400."),
    SAMPLE("two hosts, 1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", "400."),
    SAMPLE("host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400."),
    SAMPLE("host folded", GET " b\r\n\r\n", "400."),
    SAMPLE("host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400."),
    SAMPLE("garbage", "hello world\r\n\r\n" POISON, "400."),
    SAMPLE("tls", "\x16\x03\x01\x02\x00\x01\x00", "400."),
    SAMPLE("space first", " GET / HTTP/1.1\r\n", "400."),
    SAMPLE("method alone", "GET\r\n\r\n", "400."),
    SAMPLE("0.9", "GET /\r\n", "400."),
    SAMPLE("no protocol", "GET / \r\n\r\n", "400."),
    SAMPLE("target with space", "GET /a b HTTP/1.1\r\n", "400."),
    SAMPLE("target with NUL", "GET /\0 HTTP/1.1\r\n", "400."),
    SAMPLE("lower-case protocol", "GET / http/1.1\r\n", "400."),
    SAMPLE("RTSP", "GET / RTSP/1.0\r\n", "400."),
    SAMPLE("ICE", "SOURCE / ICE/1.0\r\n", "400."),
    SAMPLE("CR without LF", GET "X: a\rY: b\r\n\r\n", "400."),
    SAMPLE("CR and another byte", GET "\rX", "400."),
    SAMPLE("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400."),
    SAMPLE("space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400."),
    SAMPLE("no field name", GET ": x\r\n\r\n", "400."),
    SAMPLE("no colon", GET "nonsense\r\n\r\n", "400."),
    SAMPLE("NUL in a value", GET "X: a\0b\r\n\r\n", "400."),
    SAMPLE("good, then bad", GET "\r\n" GET "\x01\r\n", "200 400."),
    SAMPLE("two lengths", GET "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400."),
    SAMPLE("length list", GET "Content-Length: 3, 3\r\n\r\nabc", "400."),
    SAMPLE("negative length", GET "Content-Length: -1\r\n\r\n", "400."),
    SAMPLE("length beyond 64 bits", GET "Content-Length: 99999999999999999999999\r\n\r\n", "400."),
    SAMPLE("length and chunked", GET "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "400."),
    SAMPLE("chunked and length", GET "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
           "400."),
    SAMPLE("chunked in 1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400."),
    SAMPLE("chunked not last", GET "Transfer-Encoding: chunked, gzip\r\n\r\n", "400."),
    SAMPLE("not chunked", GET "Transfer-Encoding: gzip\r\n\r\n", "400."),
    SAMPLE("bad chunk size", GET "Transfer-Encoding: chunked\r\n\r\ng\r\n", "400."),
    SAMPLE("bad chunk end", GET "Transfer-Encoding: chunked\r\n\r\n1\r\naXX", "400."),
    SAMPLE("post", "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" POISON, "405."),
    SAMPLE("options", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "405."),
    SAMPLE("connect", "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n" POISON, "405."),
    SAMPLE("declared too large", GET "Content-Length: 1048577\r\n\r\n", "413."),
    SAMPLE("expect with body", GET "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "417."),
    SAMPLE("unknown method", "BREW /pot HTTP/1.1\r\n" HOST "\r\n" POISON, "501."),
    SAMPLE("longer than a known method", "GETX / HTTP/1.1\r\n", "501."),
    SAMPLE("lower-case method", "get / HTTP/1.1\r\n", "501."),
    SAMPLE("method of RTSP", "PLAY / HTTP/1.1\r\n", "501."),
    SAMPLE("unknown coding", GET "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501."),
    SAMPLE("2.0", "GET / HTTP/2.0\r\n", "505."),
    SAMPLE("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505."),
};

#endif
