/// Tables for people.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/cli.h"

typedef struct table_column {
    const char *heading;
    size_t width;
    int right;
} table_column;

struct nm_table {
    char **cells; ///< row by row
    size_t count, capacity;
    int cut; ///< no memory for a cell: rows are missing
    size_t column_count;
    table_column columns[];
};

#define CELL_MAX 512

nm_table *nm_table_create(const char *const *headings, size_t columns) {
    NM_ASSERT(columns > 0);
    nm_table *table = calloc(1, sizeof *table + columns * sizeof(table_column));
    if (!table) return NULL;
    table->column_count = columns;
    for (size_t i = 0; i < columns; i++) {
        table_column *column = &table->columns[i];
        column->right = headings[i][0] == '>';
        column->heading = headings[i] + column->right;
        column->width = nm_text_columns(column->heading);
    }
    return table;
}

static int add_cell(nm_table *table, char *text) {
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity ? 2 * table->capacity : 64;
        if (capacity > SIZE_MAX / sizeof *table->cells) return 0;
        char **cells = realloc(table->cells, capacity * sizeof *cells);
        if (!cells) return 0;
        table->cells = cells;
        table->capacity = capacity;
    }
    table->cells[table->count++] = text;
    return 1;
}

void nm_table_cell(nm_table *table, const char *format, ...) {
    if (!table || table->cut) return;
    char raw[CELL_MAX], text[4 * CELL_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    nm_text_escape(text, sizeof text, raw);
    const size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    if (copy) memcpy(copy, text, bytes);
    if (!copy || !add_cell(table, copy)) {
        free(copy);
        table->cut = 1;
        return;
    }
    table_column *column = &table->columns[(table->count - 1) % table->column_count];
    const size_t width = nm_text_columns(text);
    if (width > column->width) column->width = width;
}

static void print_row(const nm_table *table, const char *const *texts, size_t count, FILE *file) {
    for (size_t i = 0; i < count; i++) {
        const table_column *column = &table->columns[i];
        const size_t pad = column->width - nm_text_columns(texts[i]);
        if (i > 0) fputs("  ", file);
        if (column->right) fprintf(file, "%*s", (int)pad, "");
        fputs(texts[i], file);
        if (!column->right && i + 1 < count) fprintf(file, "%*s", (int)pad, ""); // no blanks at the end of a line
    }
    fputc('\n', file);
}

void nm_table_print(nm_table *table, FILE *file) {
    if (!table) return;
    for (size_t i = 0; i < table->column_count; i++) {
        const table_column *column = &table->columns[i];
        const size_t pad = column->width - nm_text_columns(column->heading);
        if (i > 0) fputs("  ", file);
        if (column->right) fprintf(file, "%*s", (int)pad, "");
        fputs(column->heading, file);
        if (!column->right && i + 1 < table->column_count) fprintf(file, "%*s", (int)pad, "");
    }
    fputc('\n', file);
    for (size_t i = 0; i < table->count; i += table->column_count) {
        const size_t left = table->count - i;
        print_row(table, (const char *const *)table->cells + i, left < table->column_count ? left : table->column_count,
                  file);
    }
    if (table->cut) fprintf(stderr, "nearmiss: out of memory: the table is cut\n");
}

void nm_table_destroy(nm_table *table) {
    if (!table) return;
    for (size_t i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    free(table);
}
