/* A JSON text as a tree that remembers its lines, so that a mistake in a fixture can be pointed at. */
#pragma once
#pragma GCC visibility push(hidden)

enum JsonKind { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_MAP };

typedef struct Json {
    enum JsonKind kind;
    int line;
    const char *key;           /* of this member, where the parent is a map */
    double number;             /* of a number, and 0 or 1 of a boolean */
    const char *text;
    struct Json *first, *next; /* first element of a list or map; next sibling */
} Json;

/* Parses TEXT in place: the tree points into it and into NODES, which needs room for one node a character.
   On a mistake returns NULL, with ERROR saying the line, what was expected and what was found. */
const Json *json_parse(char *text, Json *nodes, char *error, unsigned size);

/* The member KEY of a map, NULL where there is none or MAP is NULL. */
const Json *json_member(const Json *map, const char *key);

/* "a number", "a list", … for messages. */
const char *json_kind(enum JsonKind kind);

#pragma GCC visibility pop
