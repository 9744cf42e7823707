// Package ent is what ent generates from the schema beside it.
package ent

//go:generate go run entgo.io/ent/cmd/ent@v0.14.5 generate --feature sql/upsert,sql/lock,sql/modifier,sql/execquery ./schema
