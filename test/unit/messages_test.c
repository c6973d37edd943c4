/* The catalogue is complete, its parameters fit, and the locale is chosen as contract 01 §2.4 says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/messages.h"
#include "base/utf8.h"
#include "test/unit/rule.h"

static void every_text_is_there(void **state)
{
    (void)state;
    for (enum message_id id = 0; id < MESSAGES; id++) {
        assert_memory_equal(message_key(id), "error.", 6);
        for (enum message_id other = 0; other < id; other++)
            assert_string_not_equal(message_key(id), message_key(other));
        for (enum locale l = 0; l < LOCALES; l++) {
            const char *text = message_text(id, l);
            assert_true(utf8_valid(text, strlen(text)));
            assert_true(strlen(text) > 3);
            if (l != LOCALE_EN)
                assert_string_not_equal(text, message_text(id, LOCALE_EN));
        }
    }
}

/* Each text names {0} to {params - 1} once and holds no other brace. */
static void parameters_are_as_declared(void **state)
{
    (void)state;
    for (enum message_id id = 0; id < MESSAGES; id++) {
        assert_in_range(message_params(id), 0, 3);
        for (enum locale l = 0; l < LOCALES; l++) {
            const char *text = message_text(id, l);
            int braces = 0;
            for (const char *p = text; *p; p++)
                braces += *p == '{';
            assert_int_equal(braces, message_params(id));
            for (int i = 0; i < message_params(id); i++) {
                char place[] = {'{', (char)('0' + i), '}', 0};
                assert_non_null(strstr(text, place));
            }
        }
    }
}

static void contract_keys_exist(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "required", "invalid_id", "invalid_slug", "invalid_json", "invalid_request", "invalid_updates",
        "invalid_path", "invalid_version", "invalid_filename", "invalid_channel_type", "invalid_visibility",
        "invalid_role", "missing_file_field", "file_too_large", "messages_required", "no_user_message",
        "message_required", "user_id_header", "user_id_required", "provider_model_required",
        "method_not_allowed", "unauthorized", "invalid_auth", "permission_denied", "owner_only", "no_access",
        "master_scope_required", "not_found", "instance_not_found", "file_not_found", "version_not_found",
        "already_exists", "already_summoning", "no_description", "cannot_delete_default_inst",
        "cannot_delete_skills_dir", "summoning_unavailable", "rate_limit", "internal", "failed_to_list",
        "failed_to_create", "failed_to_update", "failed_to_delete", "failed_to_save", "failed_to_read_file",
        "failed_to_delete_file", "streaming_not_supported", "provider_request_failed", "queue_full",
        "shutting_down", "not_implemented", "body_too_large", "unavailable", "agent_timeout",
        "tenant_access_denied", "tenant_not_found", "invalid_user_id", "system_skill", "decrypt_failed",
        "injection_blocked", "tools_not_supported", "agent_not_active", "no_provider", "budget_exceeded",
        "tool_unavailable", "master_tenant", "precondition_failed", "idempotency_conflict",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        enum message_id id = 0;
        while (id < MESSAGES && strcmp(message_key(id) + 6, keys[i]) != 0)
            id++;
        if (id == MESSAGES)
            fail_msg("error.%s is missing", keys[i]);
    }
}

static void assert_format(enum message_id id, enum locale l, const char *a0, const char *a1, const char *want)
{
    const char *args[3] = {a0, a1, NULL};
    struct buf b = BUF_INIT(8192);
    buf_adds(&b, "<");
    message_format(&b, id, l, args);
    assert_string_equal(buf_str(&b) + 1, want);
    buf_release(&b);
}

static void parameters_are_put_in(void **state)
{
    (void)state;
    assert_format(MSG_required, LOCALE_EN, "name", NULL, "name is required");
    assert_format(MSG_required, LOCALE_VI, "name", NULL, "Thiếu name");
    assert_format(MSG_required, LOCALE_ZH, "name", NULL, "缺少 name");
    assert_format(MSG_not_found, LOCALE_ZH, "agent", "x", "未找到 agent：x");
    assert_format(MSG_not_found, LOCALE_EN, "agent", "{0}", "agent not found: {0}");
    assert_format(MSG_required, LOCALE_EN, NULL, NULL, " is required");
}

static void missing_last_parameter_takes_its_colon_along(void **state)
{
    (void)state;
    assert_format(MSG_internal, LOCALE_EN, NULL, NULL, "Internal error");
    assert_format(MSG_internal, LOCALE_VI, "", NULL, "Lỗi nội bộ");
    assert_format(MSG_internal, LOCALE_ZH, NULL, NULL, "内部错误");
    assert_format(MSG_internal, LOCALE_EN, "disk:", NULL, "Internal error: disk:");
}

static void text_ends_at_a_thousand_characters(void **state)
{
    (void)state;
    char value[3 * 1000 + 1];
    for (size_t i = 0; i < 1000; i++)
        memcpy(value + 3 * i, "字", 3);
    value[3000] = 0;
    const char *args[3] = {value, NULL, NULL};
    struct buf b = BUF_INIT(8192);
    message_format(&b, MSG_internal, LOCALE_EN, args);
    assert_int_equal(utf8_count(b.data, b.len), 1000);
    assert_true(utf8_valid(b.data, b.len));

    buf_clear(&b);
    value[3 * (1000 - 16)] = 0; /* "Internal error: " has 16 */
    message_format(&b, MSG_internal, LOCALE_EN, args);
    assert_int_equal(utf8_count(b.data, b.len), 1000);
    assert_int_equal(b.len, 16 + 3 * (1000 - 16));
    buf_release(&b);
}

static void locale_follows_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *want;
    } cases[] = {
        {NULL, "en"}, {"", "en"}, {"*", "en"}, {"en", "en"}, {"vi", "vi"}, {"zh", "zh"},
        {"vi-VN", "vi"}, {"zh-CN", "zh"}, {"zh-Hant", "zh"}, {"ZH-hant-TW", "zh"}, {"VI", "vi"},
        {"zhx", "en"}, {"v", "en"}, {"vie", "en"}, {"fr", "en"}, {"fr, vi;q=0.5", "vi"},
        {"fr;q=1, de, zh-CN;q=0.1, vi;q=0.9", "zh"}, {"en;q=0.1, vi;q=0.9", "en"},
        {"vi;q=0, zh", "zh"}, {"vi;q=0.000, zh", "zh"}, {"vi;q=0.001, zh", "vi"}, {"vi; q=0 , zh", "zh"},
        {"vi;Q=0,zh", "zh"}, {"vi;q=,zh", "vi"}, {"vi;level=1;q=0,zh", "zh"}, {"vi;x=0,zh", "vi"},
        {"vi;q=0", "en"}, {" \tvi\t, en", "vi"}, {",,,vi", "vi"}, {";q=1,zh", "zh"}, {"vi;", "vi"}, {",", "en"},
        {"vi_VN, zh", "zh"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(locale_name(locale_from_header(cases[i].header)), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST("3.5", every_text_is_there),
        cmocka_unit_test(parameters_are_as_declared),
        RULE_TEST("3.5", contract_keys_exist),
        cmocka_unit_test(parameters_are_put_in),
        cmocka_unit_test(missing_last_parameter_takes_its_colon_along),
        cmocka_unit_test(text_ends_at_a_thousand_characters),
        RULE_TEST("2.4", locale_follows_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
