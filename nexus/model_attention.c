/// The attention of a model: what is possible, its names, and another kind for weights that were trained with one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/model_private.h"

static const char *const names[] = {"factored", "full", "blocks"};

const char *nm_attention_name(nm_attention_kind kind) {
    NM_ASSERT((unsigned)kind < sizeof names / sizeof *names);
    return names[kind];
}

static nm_status check_choice(const nm_attention_choice *choice, nm_error *error) {
    if ((unsigned)choice->kind > NM_ATTENTION_BLOCKS)
        return NM_ERROR(error, NM_E_ARGUMENT, "attention of a model is number %u, not in 0..%d", (unsigned)choice->kind,
                        NM_ATTENTION_BLOCKS);
    if (choice->kind != NM_ATTENTION_BLOCKS) return NM_OK;
    if (choice->target < NM_BLOCK_MIN || choice->target > NM_BLOCK_MAX)
        return NM_ERROR(error, NM_E_ARGUMENT, "block_target of a model is %u, not in %d..%d", choice->target,
                        NM_BLOCK_MIN, NM_BLOCK_MAX);
    if (!(choice->tau >= 0.0f && choice->tau <= 1.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "block_tau of a model is %g, not in 0..1", (double)choice->tau);
    return NM_OK;
}

nm_status nm_model_check_attention(const nm_model_config *c, nm_error *error) {
    if (!nm_model_is_joint(c)) return NM_OK;
    if (c->pose_bias)
        return NM_ERROR(error, NM_E_ARGUMENT, "attention '%s' knows no pose_bias: places turn its queries and keys",
                        nm_attention_name(c->attention.kind));
    if (c->hidden / c->heads % 2)
        return NM_ERROR(error, NM_E_ARGUMENT, "a head has %u channels, and attention '%s' needs an even number",
                        c->hidden / c->heads, nm_attention_name(c->attention.kind));
    return check_choice(&c->attention, error);
}

nm_status nm_model_set_attention(nm_model *model, const nm_attention_choice *choice, nm_error *error) {
    const nm_status status = check_choice(choice, error);
    if (status != NM_OK) return status;
    if (!nm_model_is_joint(&model->config))
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "this model attends over time, then over agents: it was not trained for attention '%s'",
                        nm_attention_name(choice->kind));
    if (choice->kind == NM_ATTENTION_FACTORED)
        return NM_ERROR(error, NM_E_ARGUMENT, "this model's attention is '%s': it has no factored layers",
                        nm_attention_name(model->config.attention.kind));
    model->config.attention = *choice;
    return NM_OK;
}

/// NAME=VALUE up to a comma or the end; 0 when it is none of ours.
static int take_term(const char *text, size_t length, nm_attention_choice *c) {
    char term[32];
    if (length >= sizeof term) return 0;
    memcpy(term, text, length);
    term[length] = '\0';
    char *end = term;
    if (strncmp(term, "tau=", 4) == 0) {
        c->tau = strtof(term + 4, &end);
        return end != term + 4 && !*end;
    }
    if (strncmp(term, "target=", 7) != 0 || strspn(term + 7, "0123456789") != length - 7) return 0;
    const unsigned long target = strtoul(term + 7, &end, 10);
    c->target = target <= NM_BLOCK_MAX ? (uint32_t)target : 0; // which is out of range, too
    return end != term + 7;
}

nm_status nm_attention_parse(const char *text, nm_attention_choice *choice, nm_error *error) {
    nm_attention_choice c = *choice;
    const size_t name = strcspn(text, ":");
    int known = 0;
    if (strcmp(text, "full") == 0) {
        c.kind = NM_ATTENTION_FULL;
        known = 1;
    } else if (name == 6 && memcmp(text, "blocks", name) == 0) {
        c.kind = NM_ATTENTION_BLOCKS;
        known = 1;
        for (const char *rest = text + name; known && *rest;) { // at ':' or ','
            const size_t length = strcspn(++rest, ",");
            known = take_term(rest, length, &c);
            rest += length;
        }
    }
    if (!known)
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "attention is full, blocks, or blocks:tau=T,target=N with T from 0 to 1 and N from %d to %d; "
                        "not \"%.80s\"",
                        NM_BLOCK_MIN, NM_BLOCK_MAX, text);
    const nm_status status = check_choice(&c, error);
    if (status == NM_OK) *choice = c;
    return status;
}
