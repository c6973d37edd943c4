# nginx as the front server, with tools/examples/nginx.conf

load helper
