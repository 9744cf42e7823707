-- a column becomes a table
CREATE TABLE emails (user_id INTEGER NOT NULL, email TEXT NOT NULL, PRIMARY KEY (user_id, email));
INSERT INTO emails SELECT id, email FROM users WHERE email IS NOT NULL;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email;
CREATE VIEW reachable AS SELECT name, email FROM users JOIN emails ON emails.user_id = users.id;
