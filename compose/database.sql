-- PostgreSQL's image runs this once, when it makes the data: a role for staticreg that owns its database and is no superuser.
\getenv password STATICREG_PASSWORD
CREATE ROLE staticreg LOGIN PASSWORD :'password';
CREATE DATABASE staticreg OWNER staticreg;
REVOKE ALL ON DATABASE staticreg FROM PUBLIC;
