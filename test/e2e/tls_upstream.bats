# models behind TLS, and addresses that are refused

load helper
