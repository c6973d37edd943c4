/* Names of unit tests that keep a numbered rule (test/rules-01.txt): in the table RULE_TEST("12.9", path_cases). */
#ifndef CLAWGATE_TEST_RULE_H
#define CLAWGATE_TEST_RULE_H

#define RULE_TEST(number, test) {"01 §" number ": " #test, test, NULL, NULL, NULL}
#define RULE_TEST_SETUP(number, test, setup) {"01 §" number ": " #test, test, setup, NULL, NULL}
#define RULE_TEST_AROUND(number, test, setup, teardown) {"01 §" number ": " #test, test, setup, teardown, NULL}

#endif
