#include "tools/attention_option.h"

nm_status nm_attention_option_check(const char *text, nm_error *error) {
    nm_attention_choice choice = nm_model_config_default().attention;
    return text ? nm_attention_parse(text, &choice, error) : NM_OK;
}

nm_status nm_attention_option_apply(const char *text, nm_model *model, nm_error *error) {
    if (!text) return NM_OK;
    nm_attention_choice choice = nm_model_get_config(model)->attention;
    const nm_status status = nm_attention_parse(text, &choice, error);
    return status == NM_OK ? nm_model_set_attention(model, &choice, error) : status;
}
