// Package schema holds the entities that ent generates code for.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// User has pets and friends.
type User struct{ ent.Schema }

// Fields of the user.
func (User) Fields() []ent.Field {
	return []ent.Field{
		field.Int("age").Min(0),
		field.String("name").Default("unknown"),
		field.String("email").Optional().Nillable().Unique(),
		field.Time("created_at").Default(time.Now).Immutable(), //nolint:forbidigo // ent takes a function of that form
		field.Bool("active").Default(true),
		field.Enum("role").Values("admin", "user").Default("user"),
		field.JSON("tags", []string{}).Optional(),
		field.Float("score").Optional(),
		field.Bytes("blob").Optional(),
	}
}

// Edges of the user.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("pets", Pet.Type),
		edge.To("friends", User.Type),
	}
}

// Indexes of the user.
func (User) Indexes() []ent.Index {
	return []ent.Index{index.Fields("age", "name")}
}

// Pet belongs to a user.
type Pet struct{ ent.Schema }

// Fields of the pet.
func (Pet) Fields() []ent.Field {
	return []ent.Field{field.String("name")}
}

// Edges of the pet.
func (Pet) Edges() []ent.Edge {
	return []ent.Edge{edge.From("owner", User.Type).Ref("pets").Unique()}
}
