CREATE TABLE users (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name  TEXT NOT NULL UNIQUE,
    email TEXT
);
CREATE INDEX users_email ON users (email);
INSERT INTO users (name, email) VALUES ('ann', 'a@example.com'), ('bob', NULL);
