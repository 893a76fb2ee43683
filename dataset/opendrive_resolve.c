/// Ids of roads, junctions and signals are texts: sorted once, found by halving.
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive.h"

static int compare_names(const void *a, const void *b) {
    const nm_od_named *x = a, *y = b;
    uint32_t shorter = x->length < y->length ? x->length : y->length;
    int order = shorter ? memcmp(x->text, y->text, shorter) : 0;
    if (order) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int same_name(const nm_od_named *a, const nm_od_named *b) {
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

uint32_t nm_od_find(const nm_od_named *names, uint32_t count, const char *text, uint32_t length) {
    const nm_od_named wanted = {text, length, 0};
    uint32_t low = 0, high = count; // the first that is not before it
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_names(&names[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && same_name(&names[low], &wanted) ? names[low].index : NM_NONE;
}

static const char *text_of(const nm_od_build *build, nm_od_text text) {
    return build->document->texts.at ? build->document->texts.at + text.first : "";
}

static int shown(nm_od_text text) {
    return (int)(text.length < 60 ? text.length : 60);
}

static nm_status no_memory(const nm_od_build *build) {
    return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the names of a document");
}

static nm_status refuse_twice(const nm_od_build *build, const char *what, nm_od_text id, int32_t line) {
    return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, line, -1, "the id \"%.*s\" is used by two %ss",
                       shown(id), text_of(build, id), what);
}

static nm_status name_roads(nm_od_build *build) {
    const nm_od_document *d = build->document;
    for (uint32_t i = 0; i < d->roads.count; ++i) {
        nm_od_named *named = NM_OD_NEW(build->road_names);
        if (!named) return no_memory(build);
        *named = (nm_od_named){text_of(build, d->roads.at[i].id), d->roads.at[i].id.length, i};
    }
    if (build->road_names.count) qsort(build->road_names.at, d->roads.count, sizeof(nm_od_named), compare_names);
    for (uint32_t i = 1; i < d->roads.count; ++i) {
        const nm_od_road *road = &d->roads.at[build->road_names.at[i].index];
        if (same_name(&build->road_names.at[i - 1], &build->road_names.at[i]))
            return refuse_twice(build, "road", road->id, road->line);
    }
    return NM_OK;
}

static nm_status name_junctions(nm_od_build *build) {
    const nm_od_document *d = build->document;
    for (uint32_t i = 0; i < d->junctions.count; ++i) {
        nm_od_named *named = NM_OD_NEW(build->junction_names);
        if (!named) return no_memory(build);
        *named = (nm_od_named){text_of(build, d->junctions.at[i].id), d->junctions.at[i].id.length, i};
    }
    if (d->junctions.count) qsort(build->junction_names.at, d->junctions.count, sizeof(nm_od_named), compare_names);
    for (uint32_t i = 1; i < d->junctions.count; ++i) {
        const nm_od_junction *junction = &d->junctions.at[build->junction_names.at[i].index];
        if (same_name(&build->junction_names.at[i - 1], &build->junction_names.at[i]))
            return refuse_twice(build, "junction", junction->id, junction->line);
    }
    return NM_OK;
}

/// Signals that references may mean. Ids used more than once occur (road marks are all "0"): the first one counts.
static nm_status name_signals(nm_od_build *build) {
    const nm_od_document *d = build->document;
    for (uint32_t i = 0; i < d->signals.count; ++i) {
        const nm_od_signal *signal = &d->signals.at[i];
        if (signal->reference || !signal->id.length) continue;
        nm_od_named *named = NM_OD_NEW(build->signal_names);
        if (!named) return no_memory(build);
        *named = (nm_od_named){text_of(build, signal->id), signal->id.length, i};
    }
    if (build->signal_names.count)
        qsort(build->signal_names.at, build->signal_names.count, sizeof(nm_od_named), compare_names);
    return NM_OK;
}

static void resolve_signals(const nm_od_build *build) {
    nm_od_document *d = build->document;
    for (uint32_t i = 0; i < d->signals.count; ++i) {
        nm_od_signal *signal = &d->signals.at[i];
        signal->meant = i;
        if (signal->reference)
            signal->meant = nm_od_find(build->signal_names.at, build->signal_names.count, text_of(build, signal->id),
                                       signal->id.length);
        signal->meaning = signal->meant == NM_NONE ? (uint8_t)NM_OD_MEANS_NOTHING
                                                   : (uint8_t)nm_od_meaning_of(&d->signals.at[signal->meant]);
    }
}

static nm_status find_road(const nm_od_build *build, nm_od_text id, int32_t line, const char *who, uint32_t *road) {
    *road = nm_od_find(build->road_names.at, build->road_names.count, text_of(build, id), id.length);
    if (*road != NM_NONE) return NM_OK;
    return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, line, -1, "%s names road \"%.*s\", which does not exist",
                       who, shown(id), text_of(build, id));
}

static nm_status find_junction(const nm_od_build *build, nm_od_text id, int32_t line, const char *who,
                               uint32_t *junction) {
    *junction = nm_od_find(build->junction_names.at, build->junction_names.count, text_of(build, id), id.length);
    if (*junction != NM_NONE) return NM_OK;
    return NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, line, -1,
                       "%s names junction \"%.*s\", which does not exist", who, shown(id), text_of(build, id));
}

static nm_status resolve_road(const nm_od_build *build, nm_od_road *road) {
    nm_status status = NM_OK;
    if (road->junction_id.length)
        status = find_junction(build, road->junction_id, road->line, "a road", &road->junction);
    for (int i = 0; status == NM_OK && i < 2; ++i) {
        nm_od_road_link *link = &road->links[i];
        const char *who = i ? "a road's successor" : "a road's predecessor";
        if (!link->given) continue;
        status = link->junction ? find_junction(build, link->id, link->line, who, &link->target)
                                : find_road(build, link->id, link->line, who, &link->target);
    }
    return status;
}

nm_status nm_od_resolve(nm_od_build *build) {
    nm_od_document *d = build->document;
    nm_status status = name_roads(build);
    if (status == NM_OK) status = name_junctions(build);
    if (status == NM_OK) status = name_signals(build);
    if (status == NM_OK) resolve_signals(build);
    for (uint32_t i = 0; status == NM_OK && i < d->roads.count; ++i) status = resolve_road(build, &d->roads.at[i]);
    for (uint32_t i = 0; status == NM_OK && i < d->junctions.count; ++i) {
        nm_od_junction *junction = &d->junctions.at[i];
        build->ignored_junctions += junction->virtual_junction;
        if (junction->virtual_junction) continue;
        for (uint32_t k = 0; status == NM_OK && k < junction->connections.count; ++k) {
            nm_od_connection *c = &d->connections.at[junction->connections.first + k];
            status = find_road(build, c->incoming_id, c->line, "a junction's connection", &c->incoming);
            if (status == NM_OK)
                status = find_road(build, c->connecting_id, c->line, "a junction's connection", &c->connecting);
        }
    }
    return status;
}
