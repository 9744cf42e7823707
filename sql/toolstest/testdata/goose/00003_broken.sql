-- +goose Up
CREATE TABLE half (x);
INSERT INTO nowhere VALUES (1);

-- +goose Down
DROP TABLE half;
