/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.1 requests read by llhttp, and the queue of prebuilt responses. Pure over bytes: see http.h.
 *
 * llhttp is stopped at the end of every header section that has a body to follow and at the end of every
 * message, so that each call reads bytes of one section only and can be cut exactly at that section's limit.
 * The answer to a byte sequence hence does not depend on how TCP cut it into pieces.
 */
#include "http.h"

#include <ctype.h>
#include <string.h>

#if !LLHTTP_STRICT_MODE
#error "compile llhttp and this file with -DLLHTTP_STRICT_MODE=1: otherwise it takes any byte after CR for LF"
#endif

enum phase { PHASE_TARGET, PHASE_HEAD, PHASE_BODY, PHASE_COMPLETE, PHASE_FOREIGN_LINE };
enum field { FIELD_OTHER, FIELD_HOST, FIELD_TRANSFER_ENCODING };
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

int http_pending(const struct http_connection *c, struct iovec *iov, int max) {
    int count = 0;
    size_t skip = c->sent;
    for (uint32_t i = c->queue_first; i != c->queue_end; i++) {
        const struct http_response *response = &c->site->responses[c->queue[i % HTTP_QUEUE_SIZE]];
        for (int part = 0; part < 2; part++) {
            const struct iovec *whole = &response->part[part];
            if (skip >= whole->iov_len) {
                skip -= whole->iov_len;
                continue;
            }
            if (count == max)
                return count;
            iov[count++] = (struct iovec){(char *)whole->iov_base + skip, whole->iov_len - skip};
            skip = 0;
        }
    }
    return count;
}

void http_sent(struct http_connection *c, size_t n) {
    c->sent += n;
    while (c->queue_first != c->queue_end) {
        size_t size = c->site->responses[c->queue[c->queue_first % HTTP_QUEUE_SIZE]].size;
        if (c->sent < size)
            return;
        c->sent -= size;
        c->queue_first++;
        c->counters->responses_sent++;
    }
}

static void respond(struct http_connection *c, enum http_answer answer) {
    c->queue[c->queue_end++ % HTTP_QUEUE_SIZE] = (uint8_t)answer;
    if (answer >= HTTP_400)
        c->counters->errors_http++;
    else
        c->counters->requests_parsed++;
    if (answer >= HTTP_400 || answer == HTTP_200_CLOSE || answer == HTTP_200_HEAD_CLOSE)
        c->closing = true;
}

static int refuse(struct http_connection *c, enum http_answer answer) {
    c->answer = (uint8_t)answer;
    return HPE_USER;
}

/* The byte n (1..4) before `at`, which lies in the present input. */
static char byte_before(const struct http_connection *c, const char *at, int n) {
    long inside = at - c->input;
    return inside >= n ? at[-n] : c->before[sizeof(c->before) - (size_t)(n - inside)];
}

static int on_url_complete(llhttp_t *parser) {
    ((struct http_connection *)parser)->phase = PHASE_HEAD;
    return 0;
}

/* llhttp also takes RTSP/ and ICE/ for a protocol name, and does not tell: HTTP/ has its second T here. */
static int on_version(llhttp_t *parser, const char *at, size_t length) {
    struct http_connection *c = (struct http_connection *)parser;
    if (length == 0 || c->value_state != 0)
        return 0;
    c->value_state = 1;
    return byte_before(c, at, 3) == 'T' ? 0 : refuse(c, HTTP_400);
}

static int on_version_complete(llhttp_t *parser) {
    struct http_connection *c = (struct http_connection *)parser;
    return parser->http_major == 1 ? 0 : refuse(c, HTTP_505);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t length) {
    struct http_connection *c = (struct http_connection *)parser;
    if (length > sizeof(c->name) - c->name_size || c->name_size > sizeof(c->name)) {
        c->name_size = sizeof(c->name) + 1;
        return 0;
    }
    memcpy(c->name + c->name_size, at, length);
    c->name_size = (uint8_t)(c->name_size + length);
    return 0;
}

/* `name` in lower case, of letters and '-' only: setting the bit 0x20 maps no other token byte onto one of
 * these. */
static bool name_is(const struct http_connection *c, const char *name) {
    for (size_t i = 0; i < c->name_size; i++)
        if ((c->name[i] | 0x20) != name[i])
            return false;
    return true;
}

static int on_header_field_complete(llhttp_t *parser) {
    struct http_connection *c = (struct http_connection *)parser;
    if (c->name_size == 0) /* llhttp lets ": value" pass */
        return refuse(c, HTTP_400);
    c->field = FIELD_OTHER;
    c->value_state = 0;
    if (c->phase == PHASE_HEAD) { /* not in a trailer */
        if (c->name_size == 4 && name_is(c, "host")) {
            c->field = FIELD_HOST;
            c->hosts += c->hosts < 2;
        } else if (c->name_size == 17 && name_is(c, "transfer-encoding")) {
            c->field = FIELD_TRANSFER_ENCODING;
            c->codings += c->codings < 2;
        } else if (c->name_size == 6 && name_is(c, "expect")) {
            c->expect = true;
        }
    }
    c->name_size = 0;
    return 0;
}

/* uri-host [":" port] by its characters alone: no list, path or user name passes (RFC 9112 3.2). */
static int check_host(struct http_connection *c, const char *at, size_t length) {
    enum { BEFORE, INSIDE, AFTER };
    for (size_t i = 0; i < length; i++) {
        if (byte_class[(unsigned char)at[i]] & HOST && c->value_state != AFTER)
            c->value_state = INSIDE;
        else if (at[i] != ' ' && at[i] != '\t')
            return refuse(c, HTTP_400);
        else if (c->value_state == INSIDE)
            c->value_state = AFTER;
    }
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length) {
    static const char chunked[] = "chunked";
    struct http_connection *c = (struct http_connection *)parser;
    if (c->field == FIELD_HOST)
        return check_host(c, at, length);
    if (c->field == FIELD_TRANSFER_ENCODING) {
        for (size_t i = 0; i < length; i++) {
            if (c->value_state < sizeof(chunked) - 1 &&
                tolower((unsigned char)at[i]) == chunked[c->value_state])
                c->value_state++;
            else if (at[i] != ' ' && at[i] != '\t')
                c->foreign_coding = true;
        }
    }
    return 0;
}

/* The answer to a complete head; of the answers HTTP_200… the one that will be given when its body has been
 * read. */
static enum http_answer judge(const struct http_connection *c) {
    const llhttp_t *parser = &c->parser;
    bool old = parser->http_minor == 0;
    bool chunked = parser->flags & F_CHUNKED;
    if (parser->http_major != 1) /* HTTP/0.9: no version at all */
        return HTTP_400;
    if (c->hosts > 1 || (c->hosts == 0 && !old))
        return HTTP_400;
    if (c->codings > 0 && (old || !chunked)) /* RFC 9112 6.1, 6.3 */
        return HTTP_400;
    if (c->foreign_coding || c->codings > 1)
        return HTTP_501;
    if (parser->method != HTTP_GET && parser->method != HTTP_HEAD)
        return HTTP_405;
    if (parser->content_length > HTTP_BODY_LIMIT)
        return HTTP_413;
    if (c->expect && !old && (chunked || parser->content_length > 0))
        return HTTP_417;
    enum http_answer answer = parser->method == HTTP_HEAD ? HTTP_200_HEAD : HTTP_200;
    if ((parser->flags & F_CONNECTION_CLOSE) || (old && !(parser->flags & F_CONNECTION_KEEP_ALIVE)))
        return answer + (HTTP_200_CLOSE - HTTP_200);
    return answer + (old ? HTTP_200_KEEP_ALIVE_1_0 - HTTP_200 : 0);
}

static int on_headers_complete(llhttp_t *parser) {
    struct http_connection *c = (struct http_connection *)parser;
    enum http_answer answer = judge(c);
    if (answer >= HTTP_400) {
        (void)refuse(c, answer);
        return -1;
    }
    c->answer = (uint8_t)answer;
    parser->upgrade = 0; /* RFC 9110 7.8: a server may ignore Upgrade; llhttp would stop parsing */
    if (!(parser->flags & F_CHUNKED) && parser->content_length == 0)
        return 0;
    c->phase = PHASE_BODY;
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *parser) {
    ((struct http_connection *)parser)->phase = PHASE_COMPLETE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url_complete = on_url_complete,
    .on_version = on_version,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

static void next_request(struct http_connection *c) {
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.lenient_flags =
        LENIENT_VERSION; /* any digits: HTTP/1.2 is to be served, HTTP/2.0 to get its 505 */
    c->section_size = 0;
    c->name_size = 0;
    c->field = FIELD_OTHER;
    c->value_state = 0;
    c->line_state = LINE_METHOD;
    c->phase = PHASE_TARGET;
    c->answer = HTTP_ANSWERS;
    c->hosts = 0;
    c->codings = 0;
    c->foreign_coding = false;
    c->expect = false;
    memset(c->before, 0, sizeof(c->before));
}

void http_init(struct http_connection *c, const struct http_site *site, struct counters *counters) {
    memset(c, 0, sizeof(*c));
    c->site = site;
    c->counters = counters;
    next_request(c);
}

static bool is_token_byte(char byte) {
    return byte_class[(unsigned char)byte] & TOKEN;
}

/*
 * llhttp gives up at the first byte that no method it knows has. If the line is a well-formed request line
 * all the same, the method is unknown (501), else the request is malformed (400).
 */
static size_t read_foreign_line(struct http_connection *c, const char *data, size_t len) {
    static const char version[] = "HTTP/0.0\r\n"; /* 0: any digit */
    for (size_t i = 0; i < len; i++) {
        char byte = data[i];
        bool fits;
        if (c->line_state == LINE_METHOD) {
            fits = byte == ' ' || is_token_byte(byte);
            c->line_state = byte == ' ' ? LINE_TARGET_EMPTY : LINE_METHOD;
        } else if (c->line_state < LINE_VERSION) {
            fits = byte == ' ' ? c->line_state == LINE_TARGET : byte > ' ' && byte < 127;
            c->line_state = byte == ' ' ? LINE_VERSION : LINE_TARGET;
        } else {
            char expected = version[c->line_state++ - LINE_VERSION];
            fits = expected == '0' ? isdigit((unsigned char)byte) : byte == expected;
        }
        bool complete = c->line_state == LINE_VERSION + sizeof(version) - 1;
        bool too_long = ++c->section_size >= TARGET_SECTION;
        if (fits && !complete && !too_long)
            continue;
        respond(c, !fits ? HTTP_400 : complete ? HTTP_501 : HTTP_414);
        break;
    }
    return len;
}

/* llhttp stopped at `position` for a reason other than our pausing it. */
static size_t refused(struct http_connection *c, enum llhttp_errno error, const char *position, size_t len) {
    char before = byte_before(c, position, 1);
    if (c->answer >= HTTP_400 && c->answer < HTTP_ANSWERS) {
        respond(c, c->answer);
    } else if (error == HPE_INVALID_METHOD && (*position != ' ' || is_token_byte(before))) {
        c->phase = PHASE_FOREIGN_LINE;
        c->section_size += (uint32_t)(position - c->input);
        return (size_t)(position - c->input);
    } else if (error == HPE_INVALID_CONSTANT && before == '/' && c->parser.method > HTTP_SOURCE) {
        respond(c, HTTP_501); /* a method of RTSP */
    } else if (error == HPE_PAUSED_H2_UPGRADE) {
        respond(c, HTTP_505);
    } else {
        respond(c, HTTP_400);
    }
    return len;
}

static uint32_t section_limit(const struct http_connection *c) {
    return c->phase == PHASE_BODY   ? HTTP_BODY_LIMIT
           : c->phase == PHASE_HEAD ? HTTP_HEAD_LIMIT
                                    : TARGET_SECTION;
}

/* All of `data` was taken, and the section it belongs to goes on. */
static void section_continues(struct http_connection *c, const char *data, size_t len) {
    c->section_size += (uint32_t)len;
    size_t keep = len < sizeof(c->before) ? len : sizeof(c->before);
    memmove(c->before, c->before + keep, sizeof(c->before) - keep);
    memcpy(c->before + sizeof(c->before) - keep, data + len - keep, keep);
    /* HTTP/0.9: a client of it sends no more than one line and waits. llhttp sees it only in the byte after.
     */
    bool line_ended = c->before[3] == '\n' && (c->before[2] > ' ' || c->before[1] > ' ');
    bool versionless = c->parser.http_major == 0 && c->parser.http_minor == 9;
    if (versionless || (c->phase == PHASE_TARGET && line_ended))
        respond(c, HTTP_400);
    else if (c->section_size >= section_limit(c))
        respond(c, c->phase == PHASE_BODY ? HTTP_413 : c->phase == PHASE_HEAD ? HTTP_431 : HTTP_414);
}

static size_t read_section(struct http_connection *c, const char *data, size_t len) {
    size_t room = section_limit(c) - c->section_size;
    if (len > room)
        len = room;
    c->input = data;
    enum llhttp_errno error = llhttp_execute(&c->parser, data, len);
    if (error == HPE_OK) {
        section_continues(c, data, len);
        return len;
    }
    const char *position = llhttp_get_error_pos(&c->parser);
    if (error != HPE_PAUSED)
        return refused(c, error, position, len);
    if (c->phase == PHASE_COMPLETE) {
        respond(c, c->answer);
        next_request(c);
    } else {
        c->section_size = 0;
        llhttp_resume(&c->parser);
    }
    return (size_t)(position - data);
}

size_t http_input(struct http_connection *c, const char *data, size_t len) {
    size_t used = 0;
    while (used < len && !c->closing && http_has_room(c)) {
        if (c->phase == PHASE_FOREIGN_LINE)
            used += read_foreign_line(c, data + used, len - used);
        else
            used += read_section(c, data + used, len - used);
    }
    return c->closing ? len : used;
}

void http_input_end(struct http_connection *c) {
    c->closing = true;
}
