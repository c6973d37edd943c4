/* The parts of tools/openapi: from what the programs say of themselves to the API document. */
#ifndef CLAWGATE_TOOLS_OPENAPI_H
#define CLAWGATE_TOOLS_OPENAPI_H

#include "base/buf.h"
#include "base/json.h"

/* ---- tree.c: small helpers over json-c. Values that are added belong to the tree they were added to. ---- */

/* A value from JSON text with printf directives; what goes into it must need no escaping. */
json_object *tree(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
json_object *tree_copy(json_object *o);
json_object *tree_text(const char *s);
/* The member of that name, made as an empty object when there is none. */
json_object *tree_child(json_object *o, const char *key);
/* Objects are merged member by member, "parameters" are appended, null removes, everything else is replaced. */
void tree_merge(json_object *to, json_object *from);
/* "#/components/…" looked up in the document; what is no reference is returned as it is. */
json_object *tree_resolve(json_object *document, json_object *o);
/* The last part of a reference; NULL when it is none. */
const char *tree_ref_name(json_object *o);

/* ---- schema.c ---- */

/* Adds NAME, NAMECreate and NAMEUpdate of a described resource to the document's schemas. */
void schema_add(json_object *schemas, const char *name, json_object *resource);
/* What a create answers: the record, and what is shown this once. */
json_object *schema_made(const char *name, json_object *resource);

/* ---- operation.c ---- */

/* "/v1/files/{path...}" becomes "/v1/files/{path}". */
void operation_path(struct buf *out, const char *pattern);
/* One described route as an operation; resource is the one it names, or NULL. */
json_object *operation_new(json_object *route, json_object *resource);
/* What an operation needs once its hand-written part (or NULL) is in: a success answer, and a body where one is read
 * and the part does not say null. */
void operation_finish(json_object *operation, json_object *route, json_object *part);

/* ---- page.c ---- */

/* The document as one HTML page without scripts. */
void page_write(struct buf *out, json_object *document);

#endif
