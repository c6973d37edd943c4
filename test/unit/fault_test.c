/* The table of faults against contract 01 §3.3 and 03 §1.10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"
#include "test/unit/rule.h"

static void table_is_the_contracts(void **state)
{
    (void)state;
    static const struct {
        enum fault_kind kind;
        int status;
        const char *code;
        bool retryable;
        int retry_after_ms;
        const char *type;
    } want[] = {
        {FAULT_UNAUTHENTICATED, 401, "UNAUTHORIZED", false, 0, "authentication_error"},
        {FAULT_FORBIDDEN, 403, "UNAUTHORIZED", false, 0, "permission_error"},
        {FAULT_INVALID, 400, "INVALID_REQUEST", false, 0, "invalid_request_error"},
        {FAULT_METHOD, 405, "INVALID_REQUEST", false, 0, "invalid_request_error"},
        {FAULT_TOO_LARGE, 413, "INVALID_REQUEST", false, 0, "invalid_request_error"},
        {FAULT_NOT_FOUND, 404, "NOT_FOUND", false, 0, "invalid_request_error"},
        {FAULT_EXISTS, 409, "ALREADY_EXISTS", false, 0, "invalid_request_error"},
        {FAULT_STATE, 409, "FAILED_PRECONDITION", false, 0, "invalid_request_error"},
        {FAULT_PROTECTED, 403, "FAILED_PRECONDITION", false, 0, "permission_error"},
        {FAULT_IF_MATCH, 412, "FAILED_PRECONDITION", false, 0, "invalid_request_error"},
        {FAULT_RATE, 429, "RESOURCE_EXHAUSTED", true, 60000, "rate_limit_error"},
        {FAULT_UNAVAILABLE, 503, "UNAVAILABLE", true, 5000, "server_error"},
        {FAULT_NOT_BUILT, 503, "UNAVAILABLE", false, 0, "server_error"},
        {FAULT_TIMEOUT, 504, "AGENT_TIMEOUT", true, 5000, "server_error"},
        {FAULT_INTERNAL, 500, "INTERNAL", false, 0, "server_error"},
    };
    assert_int_equal(sizeof want / sizeof *want, FAULT_KINDS - 1);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct fault_info *got = fault_info(want[i].kind);
        assert_int_equal(got->status, want[i].status);
        assert_string_equal(got->code, want[i].code);
        assert_int_equal(got->retryable, want[i].retryable);
        assert_int_equal(got->retry_after_ms, want[i].retry_after_ms);
        assert_string_equal(fault_type(got->status), want[i].type);
    }
}

static void unknown_kinds_are_internal(void **state)
{
    (void)state;
    assert_string_equal(fault_info(FAULT_NONE)->code, "INTERNAL");
    assert_string_equal(fault_info(FAULT_KINDS)->code, "INTERNAL");
    assert_string_equal(fault_type(499), "invalid_request_error");
    assert_string_equal(fault_type(502), "server_error");
}

static void setting_clears_what_was_there(void **state)
{
    (void)state;
    struct fault f = {.retry_after_ms = 7, .details = "{}", .args = {"a", "b", "c"}};
    assert_false(fault_set(&f, FAULT_NOT_FOUND, MSG_not_found, "id", "agent", "x"));
    assert_int_equal(f.kind, FAULT_NOT_FOUND);
    assert_int_equal(f.message, MSG_not_found);
    assert_string_equal(f.param, "id");
    assert_string_equal(f.args[0], "agent");
    assert_string_equal(f.args[1], "x");
    assert_null(f.args[2]);
    assert_int_equal(f.retry_after_ms, 0);
    assert_null(f.details);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST("3.3", table_is_the_contracts),
        cmocka_unit_test(unknown_kinds_are_internal),
        cmocka_unit_test(setting_clears_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
