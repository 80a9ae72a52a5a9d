/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * llhttp is stopped at the end of every header section that has a body to follow, before a trailer and at the
 * end of the message, so that each call reads bytes of one section only and can be cut exactly at that
 * section's limit.
 * The answer to a byte sequence hence does not depend on how TCP cut it into pieces.
 */
#include "http_parser.h"

#include <ctype.h>
#include <string.h>

#if !LLHTTP_STRICT_MODE
#error "compile llhttp and this file with -DLLHTTP_STRICT_MODE=1: otherwise it takes any byte after CR for LF"
#endif

enum phase { PHASE_TARGET, PHASE_HEAD, PHASE_BODY, PHASE_TRAILER, PHASE_COMPLETE, PHASE_FOREIGN_LINE };
enum field { FIELD_OTHER, FIELD_HOST, FIELD_TRANSFER_ENCODING, FIELD_PROXY_CONNECTION };
enum { TARGET_SECTION = HTTP_TARGET_LIMIT + 2 }; /* llhttp knows its end only one byte after the space */
enum { LINE_METHOD, LINE_TARGET_EMPTY, LINE_TARGET, LINE_VERSION };

/* Which bytes a token (RFC 9110 5.6.2) and a Host value (RFC 3986 3.2) consist of. */
enum { TOKEN = 1, HOST = 2, BOTH = TOKEN | HOST };

static const unsigned char byte_class[256] = {
    ['0' ... '9'] = BOTH, ['A' ... 'Z'] = BOTH, ['a' ... 'z'] = BOTH, ['!'] = BOTH, ['$'] = BOTH,
    ['%'] = BOTH,         ['&'] = BOTH,         ['\''] = BOTH,        ['*'] = BOTH, ['+'] = BOTH,
    ['-'] = BOTH,         ['.'] = BOTH,         ['_'] = BOTH,         ['~'] = BOTH, ['#'] = TOKEN,
    ['^'] = TOKEN,        ['`'] = TOKEN,        ['|'] = TOKEN,        ['('] = HOST, [')'] = HOST,
    [','] = HOST,         [';'] = HOST,         ['='] = HOST,         [':'] = HOST, ['['] = HOST,
    [']'] = HOST,
};

static void decide(struct http_parser *p, enum http_answer answer) {
    p->answer = (uint8_t)answer;
    p->done = true;
}

/* Sets the answer that refuses. Returns what a callback is to give to llhttp. */
static int refuse(struct http_parser *p, enum http_answer answer) {
    p->answer = (uint8_t)answer;
    return HPE_USER;
}

/* Returns the byte n (1..4) before `at`, which lies in the present input. */
static char byte_before(const struct http_parser *p, const char *at, int n) {
    long inside = at - p->input;
    return inside >= n ? at[-n] : p->before[sizeof(p->before) - (size_t)(n - inside)];
}

static int on_url_complete(llhttp_t *llhttp) {
    ((struct http_parser *)llhttp)->phase = PHASE_HEAD;
    return 0;
}

/* Refuses another protocol than HTTP. llhttp also takes RTSP/ and ICE/ for a protocol name, and does not
 * tell: HTTP/ has its second T here. */
static int on_version(llhttp_t *llhttp, const char *at, size_t length) {
    struct http_parser *p = (struct http_parser *)llhttp;
    if (length == 0 || p->value_state != 0) {
        return 0;
    }
    p->value_state = 1;
    return byte_before(p, at, 3) == 'T' ? 0 : refuse(p, HTTP_400);
}

static int on_version_complete(llhttp_t *llhttp) {
    struct http_parser *p = (struct http_parser *)llhttp;
    return llhttp->http_major == 1 ? 0 : refuse(p, HTTP_505);
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t length) {
    struct http_parser *p = (struct http_parser *)llhttp;
    if (length > sizeof(p->name) - p->name_size || p->name_size > sizeof(p->name)) {
        p->name_size = sizeof(p->name) + 1;
        return 0;
    }
    memcpy(p->name + p->name_size, at, length);
    p->name_size = (uint8_t)(p->name_size + length);
    return 0;
}

/* Compares the field's name with `name`, which is in lower case, of letters and '-' only: setting the bit
 * 0x20 maps no other token byte onto one of these. */
static bool name_is(const struct http_parser *p, const char *name) {
    for (size_t i = 0; i < p->name_size; i++) {
        if ((p->name[i] | 0x20) != name[i]) {
            return false;
        }
    }
    return true;
}

static int on_header_field_complete(llhttp_t *llhttp) {
    struct http_parser *p = (struct http_parser *)llhttp;
    if (p->name_size == 0) { /* llhttp lets ": value" pass */
        return refuse(p, HTTP_400);
    }
    p->field = FIELD_OTHER;
    p->value_state = 0;
    if (p->phase == PHASE_HEAD) { /* not in a trailer */
        if (p->name_size == 4 && name_is(p, "host")) {
            p->field = FIELD_HOST;
            p->hosts += p->hosts < 2;
        } else if (p->name_size == 17 && name_is(p, "transfer-encoding")) {
            p->field = FIELD_TRANSFER_ENCODING;
            p->codings += p->codings < 2;
        } else if (p->name_size == 6 && name_is(p, "expect")) {
            p->expect = true;
        } else if (p->name_size == 16 && name_is(p, "proxy-connection")) {
            p->field = FIELD_PROXY_CONNECTION;
            p->flags_before = llhttp->flags;
        }
    }
    p->name_size = 0;
    return 0;
}

/* Checks uri-host [":" port] by its characters alone: no list, path or user name passes (RFC 9112 3.2). */
static int check_host(struct http_parser *p, const char *at, size_t length) {
    enum { BEFORE, INSIDE, AFTER };
    for (size_t i = 0; i < length; i++) {
        if (byte_class[(unsigned char)at[i]] & HOST && p->value_state != AFTER) {
            p->value_state = INSIDE;
        } else if (at[i] != ' ' && at[i] != '\t') {
            return refuse(p, HTTP_400);
        } else if (p->value_state == INSIDE) {
            p->value_state = AFTER;
        }
    }
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t length) {
    static const char chunked[] = "chunked";
    struct http_parser *p = (struct http_parser *)llhttp;
    if (p->field == FIELD_HOST) {
        return check_host(p, at, length);
    }
    if (p->field == FIELD_TRANSFER_ENCODING) {
        for (size_t i = 0; i < length; i++) {
            if (p->value_state < sizeof(chunked) - 1 &&
                tolower((unsigned char)at[i]) == chunked[p->value_state]) {
                p->value_state++;
            } else if (at[i] != ' ' && at[i] != '\t') {
                p->foreign_coding = true;
            }
        }
    }
    return 0;
}

/* llhttp takes Proxy-Connection for Connection; a server is to ignore it (RFC 9112 C.2.2). */
static int on_header_value_complete(llhttp_t *llhttp) {
    struct http_parser *p = (struct http_parser *)llhttp;
    if (p->field == FIELD_PROXY_CONNECTION) {
        llhttp->flags = p->flags_before;
    }
    return 0;
}

/* Chooses the answer to a complete head; of the answers HTTP_200… the one that will be given when its body
 * has been read. */
static enum http_answer judge(const struct http_parser *p) {
    const llhttp_t *llhttp = &p->llhttp;
    bool old = llhttp->http_minor == 0;
    bool chunked = llhttp->flags & F_CHUNKED;
    if (llhttp->http_major != 1) { /* HTTP/0.9: no version at all */
        return HTTP_400;
    }
    if (p->hosts > 1 || (p->hosts == 0 && !old)) {
        return HTTP_400;
    }
    if (p->codings > 0 && (old || !chunked)) { /* RFC 9112 6.1, 6.3 */
        return HTTP_400;
    }
    if (p->foreign_coding || p->codings > 1) {
        return HTTP_501;
    }
    if (llhttp->method != HTTP_GET && llhttp->method != HTTP_HEAD) {
        return HTTP_405;
    }
    if (llhttp->content_length > HTTP_BODY_LIMIT) {
        return HTTP_413;
    }
    if (p->expect && !old && (chunked || llhttp->content_length > 0)) {
        return HTTP_417;
    }
    bool head = llhttp->method == HTTP_HEAD;
    if ((llhttp->flags & F_CONNECTION_CLOSE) || (old && !(llhttp->flags & F_CONNECTION_KEEP_ALIVE))) {
        return head ? HTTP_200_HEAD_CLOSE : HTTP_200_CLOSE;
    }
    if (old) {
        return head ? HTTP_200_HEAD_KEEP_ALIVE_1_0 : HTTP_200_KEEP_ALIVE_1_0;
    }
    return head ? HTTP_200_HEAD : HTTP_200;
}

static int on_headers_complete(llhttp_t *llhttp) {
    struct http_parser *p = (struct http_parser *)llhttp;
    enum http_answer answer = judge(p);
    if (answer >= HTTP_400) {
        (void)refuse(p, answer);
        return -1;
    }
    p->answer = (uint8_t)answer;
    llhttp->upgrade = 0; /* RFC 9110 7.8: a server may ignore Upgrade; llhttp would stop parsing */
    if (!(llhttp->flags & F_CHUNKED) && llhttp->content_length == 0) {
        return 0;
    }
    p->phase = PHASE_BODY;
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *llhttp) {
    if (llhttp->content_length > 0) {
        return 0;
    }
    ((struct http_parser *)llhttp)->phase = PHASE_TRAILER;
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *llhttp) {
    ((struct http_parser *)llhttp)->phase = PHASE_COMPLETE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url_complete = on_url_complete,
    .on_version = on_version,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

void http_parser_start(struct http_parser *p) {
    memset(p, 0, sizeof(*p));
    llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
    /* any digits: HTTP/1.2 is to be served, HTTP/2.0 to get its 505 */
    p->llhttp.lenient_flags = LENIENT_VERSION;
    p->answer = HTTP_ANSWERS;
}

static bool is_token_byte(char byte) {
    return byte_class[(unsigned char)byte] & TOKEN;
}

/* Reads a line that llhttp gave up on. It does so at the first byte that no method it knows has. If the line
 * is a well-formed request line all the same, the method is unknown (501), else the request is malformed
 * (400). */
static size_t read_foreign_line(struct http_parser *p, const char *data, size_t len) {
    static const char version[] = "HTTP/0.0\r\n"; /* 0: any digit */
    for (size_t i = 0; i < len; i++) {
        char byte = data[i];
        bool fits;
        if (p->line_state == LINE_METHOD) {
            fits = byte == ' ' || is_token_byte(byte);
            p->line_state = byte == ' ' ? LINE_TARGET_EMPTY : LINE_METHOD;
        } else if (p->line_state < LINE_VERSION) {
            fits = byte == ' ' ? p->line_state == LINE_TARGET : byte > ' ' && byte < 127;
            p->line_state = byte == ' ' ? LINE_VERSION : LINE_TARGET;
        } else {
            char expected = version[p->line_state++ - LINE_VERSION];
            fits = expected == '0' ? isdigit((unsigned char)byte) : byte == expected;
        }
        bool complete = p->line_state == LINE_VERSION + sizeof(version) - 1;
        bool too_long = ++p->section_size >= TARGET_SECTION;
        if (fits && !complete && !too_long) {
            continue;
        }
        decide(p, !fits ? HTTP_400 : complete ? HTTP_501 : HTTP_414);
        break;
    }
    return len;
}

/* Handles that llhttp stopped at `position` for a reason other than our pausing it. */
static size_t refused(struct http_parser *p, enum llhttp_errno error, const char *position, size_t len) {
    char before = byte_before(p, position, 1);
    if (p->answer >= HTTP_400 && p->answer < HTTP_ANSWERS) {
        decide(p, p->answer);
    } else if (error == HPE_INVALID_METHOD && (*position != ' ' || is_token_byte(before))) {
        p->phase = PHASE_FOREIGN_LINE;
        p->section_size += (uint32_t)(position - p->input);
        return (size_t)(position - p->input);
    } else if (error == HPE_INVALID_CONSTANT && before == '/' && p->llhttp.method > HTTP_SOURCE) {
        decide(p, HTTP_501); /* a method of RTSP */
    } else if (error == HPE_PAUSED_H2_UPGRADE) {
        decide(p, HTTP_505);
    } else {
        decide(p, HTTP_400);
    }
    return len;
}

static uint32_t section_limit(const struct http_parser *p) {
    return p->phase == PHASE_BODY || p->phase == PHASE_TRAILER ? HTTP_BODY_LIMIT
           : p->phase == PHASE_HEAD                            ? HTTP_HEAD_LIMIT
                                                               : TARGET_SECTION;
}

/* Tells whether a field goes on in a line that begins with a blank. Not every server on the way reads that as
 * we would, so it is refused (RFC 9112 5.2). */
static bool has_fold(const struct http_parser *p, const char *data, size_t len) {
    char before = p->before[sizeof(p->before) - 1];
    for (size_t i = 0; i < len; i++) {
        if (before == '\n' && (data[i] == ' ' || data[i] == '\t')) {
            return true;
        }
        before = data[i];
    }
    return false;
}

/* Goes on with the section when all of `data` was taken. */
static void section_continues(struct http_parser *p, const char *data, size_t len) {
    p->section_size += (uint32_t)len;
    size_t keep = len < sizeof(p->before) ? len : sizeof(p->before);
    memmove(p->before, p->before + keep, sizeof(p->before) - keep);
    memcpy(p->before + sizeof(p->before) - keep, data + len - keep, keep);
    /* HTTP/0.9: a client of it sends no more than one line and waits. llhttp sees it only in the byte after.
     */
    bool line_ended = p->before[3] == '\n' && (p->before[2] > ' ' || p->before[1] > ' ');
    bool versionless = p->llhttp.http_major == 0 && p->llhttp.http_minor == 9;
    if (versionless || (p->phase == PHASE_TARGET && line_ended)) {
        decide(p, HTTP_400);
    } else if (p->section_size >= section_limit(p)) {
        decide(p, section_limit(p) == HTTP_BODY_LIMIT ? HTTP_413
                  : p->phase == PHASE_HEAD            ? HTTP_431
                                                      : HTTP_414);
    }
}

static size_t read_section(struct http_parser *p, const char *data, size_t len) {
    size_t room = section_limit(p) - p->section_size;
    if (len > room) {
        len = room;
    }
    p->input = data;
    bool of_fields = p->phase != PHASE_BODY;
    enum llhttp_errno error = llhttp_execute(&p->llhttp, data, len);
    const char *position = error == HPE_OK ? data + len : llhttp_get_error_pos(&p->llhttp);
    size_t used = (size_t)(position - data);
    if (of_fields && has_fold(p, data, used)) {
        decide(p, HTTP_400);
        return len;
    }
    if (error == HPE_OK) {
        section_continues(p, data, len);
        return len;
    }
    if (error != HPE_PAUSED) {
        return refused(p, error, position, len);
    }
    if (p->phase == PHASE_COMPLETE) {
        decide(p, p->answer);
    } else {
        /* A trailer counts with its body. */
        p->section_size = p->phase == PHASE_TRAILER ? p->section_size + (uint32_t)used : 0;
        llhttp_resume(&p->llhttp);
    }
    return used;
}

size_t http_parser_read(struct http_parser *p, const char *data, size_t len, enum http_answer *answer) {
    size_t used =
        p->phase == PHASE_FOREIGN_LINE ? read_foreign_line(p, data, len) : read_section(p, data, len);
    *answer = p->done ? p->answer : HTTP_ANSWERS;
    return used;
}
