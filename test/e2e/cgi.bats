# the same programs as plain CGI under lighttpd's mod_cgi

load helper
