DROP VIEW reachable;
ALTER TABLE users ADD COLUMN email TEXT;
UPDATE users SET email = e.email FROM emails AS e WHERE e.user_id = users.id;
DROP TABLE emails;
CREATE INDEX users_email ON users (email);
