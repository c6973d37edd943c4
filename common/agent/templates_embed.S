/* The default context files as text inside the programs: one mark a file, each closed by a NUL. */
#define TEMPLATE(mark, file)          \
    .global clawgate_template_##mark; \
    .hidden clawgate_template_##mark; \
clawgate_template_##mark:             \
    .incbin file;                     \
    .byte 0;

    .section .rodata
TEMPLATE(agents, "common/agent/templates/AGENTS.md")
TEMPLATE(soul, "common/agent/templates/SOUL.md")
TEMPLATE(identity, "common/agent/templates/IDENTITY.md")
TEMPLATE(user_predefined, "common/agent/templates/USER_PREDEFINED.md")

    .section .note.GNU-stack,"",%progbits
