/* schema.sql and the migrations as text inside the programs.
 *
 * Migrations stand one after the other, each closed by a NUL: the first brings
 * version 1 to 2, the next 2 to 3, … A new one is one more TEXT line here.
 */
#define TEXT(file)  .incbin file; .byte 0;

    .section .rodata
    .global clawgate_schema_sql
    .global clawgate_migrations
    .global clawgate_migrations_end
    .hidden clawgate_schema_sql
    .hidden clawgate_migrations
    .hidden clawgate_migrations_end

clawgate_schema_sql:
    TEXT("schema.sql")

clawgate_migrations:
clawgate_migrations_end:
    .byte 0

    .section .note.GNU-stack,"",%progbits
