/* keys: who may call (contract 01 §7, API keys) and whose data there is (01 §13, tenants). */
#include "keys/keys.h"
#include "web/service.h"

#define N(a) (sizeof(a) / sizeof *(a))
#define KEYS "API Keys"
#define TENANTS "Tenants"

static const struct route routes[] = {
    {METHOD_GET, "/v1/api-keys", ROLE_ADMIN, USER_OPTIONAL, BODY_DEFAULT, resource_list, KEYS, "List API keys", 0,
     &api_keys},
    {METHOD_POST, "/v1/api-keys", ROLE_ADMIN, USER_OPTIONAL, BODY_DEFAULT, resource_create, KEYS,
     "Make an API key; its text is shown once", 0, &api_keys},
    {METHOD_DELETE, "/v1/api-keys/{id}", ROLE_ADMIN, USER_OPTIONAL, BODY_DEFAULT, key_revoke_handler, KEYS,
     "Revoke an API key", ROUTE_NO_BODY, &api_keys},
    {METHOD_POST, "/v1/api-keys/{id}/revoke", ROLE_ADMIN, USER_OPTIONAL, BODY_DEFAULT, key_revoke_handler, KEYS,
     "Revoke an API key", ROUTE_LATE_BODY | ROUTE_ALIAS, &api_keys},
    {METHOD_GET, "/v1/tenants", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_list, TENANTS,
     "List tenants", ROUTE_ANY_TENANT, &tenants},
    {METHOD_POST, "/v1/tenants", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_create, TENANTS,
     "Add a tenant", ROUTE_ANY_TENANT, &tenants},
    {METHOD_GET, "/v1/tenants/{id}", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_get, TENANTS,
     "Get a tenant", ROUTE_ANY_TENANT, &tenants},
    {METHOD_PATCH, "/v1/tenants/{id}", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_update, TENANTS,
     "Change a tenant: name, status, settings", ROUTE_LATE_BODY | ROUTE_ANY_TENANT, &tenants},
    {METHOD_DELETE, "/v1/tenants/{id}", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_delete, TENANTS,
     "Delete an archived tenant with everything it owns", ROUTE_NO_BODY | ROUTE_ANY_TENANT, &tenants},
    {METHOD_GET, "/v1/tenants/{id}/users", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_list, TENANTS,
     "List the users of a tenant", ROUTE_ANY_TENANT, &tenant_users},
    {METHOD_POST, "/v1/tenants/{id}/users", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_create, TENANTS,
     "Add a user to a tenant, or replace his row", ROUTE_LATE_BODY | ROUTE_ANY_TENANT, &tenant_users},
    {METHOD_DELETE, "/v1/tenants/{id}/users/{userID}", ROLE_OWNER, USER_UNUSED, BODY_DEFAULT, resource_delete, TENANTS,
     "Remove a user from a tenant", ROUTE_NO_BODY | ROUTE_ANY_TENANT, &tenant_users},
};

int main(int argc, char **argv)
{
    static const struct program program = {"keys", routes, N(routes), PROGRAM_PREFORK, NULL, NULL, NULL, NULL, NULL};
    return service_main(&program, argc, argv);
}
