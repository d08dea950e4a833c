#include "json.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *at;
    Json *free;
    int line, depth;
    char *error;
    unsigned size;
    jmp_buf broken;
} Parser;

static _Noreturn void expected(Parser *p, const char *what) {
    if (*p->at)
        snprintf(p->error, p->size, "line %d: expected %s, got '%.12s'", p->line, what, strtok(p->at, "\n"));
    else
        snprintf(p->error, p->size, "line %d: expected %s, got the end of the file", p->line, what);
    longjmp(p->broken, 1);
}

static char skip_space(Parser *p) {
    for (; *p->at && strchr(" \t\r\n", *p->at); p->at++)
        p->line += *p->at == '\n';
    return *p->at;
}

static void take(Parser *p, char character, const char *what) {
    if (skip_space(p) != character)
        expected(p, what);
    p->at++;
}

/* A quoted text, unescaped in place. Escapes outside ASCII are not needed here and are refused. */
static const char *text(Parser *p) {
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    take(p, '"', "'\"'");
    char *start = p->at, *end = start;
    while (*p->at != '"') {
        if ((unsigned char)*p->at < ' ')
            expected(p, "a closing '\"'");
        if (*p->at == '\\') {
            const char *escape = p->at[1] ? strchr(escapes, p->at[1]) : NULL;
            if (!escape)
                expected(p, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t");
            *end++ = meanings[escape - escapes];
            p->at += 2;
        } else {
            *end++ = *p->at++;
        }
    }
    p->at++;
    *end = 0;
    return start;
}

static Json *value(Parser *p);

static void elements(Parser *p, Json *into, char close) {
    Json **link = &into->first;
    p->at++;
    if (++p->depth > 64)
        expected(p, "at most 64 levels");
    if (skip_space(p) != close)
        for (;;) {
            const char *key = NULL;
            if (into->kind == JSON_MAP) {
                key = text(p);
                take(p, ':', "':'");
            }
            *link = value(p);
            (*link)->key = key;
            link = &(*link)->next;
            if (skip_space(p) != ',')
                break;
            p->at++;
        }
    take(p, close, close == ']' ? "',' or ']'" : "',' or '}'");
    p->depth--;
}

static int word(Parser *p, const char *spelling) {
    size_t length = strlen(spelling);
    if (strncmp(p->at, spelling, length))
        return 0;
    p->at += length;
    return 1;
}

static Json *value(Parser *p) {
    char first = skip_space(p), *end;
    Json *node = p->free++;
    *node = (Json){.line = p->line};
    if (first == '{') {
        node->kind = JSON_MAP;
        elements(p, node, '}');
    } else if (first == '[') {
        node->kind = JSON_LIST;
        elements(p, node, ']');
    } else if (first == '"') {
        node->kind = JSON_TEXT;
        node->text = text(p);
    } else if (word(p, "true") || word(p, "false")) {
        node->kind = JSON_BOOLEAN;
        node->number = first == 't';
    } else if (!word(p, "null")) {
        node->kind = JSON_NUMBER;
        node->number = strtod(p->at, &end);
        if (end == p->at || !strchr("-0123456789", first))
            expected(p, "a value");
        p->at = end;
    }
    return node;
}

const Json *json_parse(char *text, Json *nodes, char *error, unsigned size) {
    Parser parser = {.at = text, .free = nodes, .line = 1, .error = error, .size = size};
    if (setjmp(parser.broken))
        return NULL;
    const Json *root = value(&parser);
    if (skip_space(&parser))
        expected(&parser, "the end of the file");
    return root;
}

const Json *json_member(const Json *map, const char *key) {
    const Json *member = map && map->kind == JSON_MAP ? map->first : NULL;
    while (member && strcmp(member->key, key))
        member = member->next;
    return member;
}

const char *json_kind(enum JsonKind kind) {
    static const char *const names[] = {"null", "a boolean", "a number", "a text", "a list", "a map"};
    return names[kind];
}
