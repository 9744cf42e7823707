// starts does nothing but start, with package crypt in it.
package main

import (
	"fmt"

	"github.com/byokdb/byokdb/crypt"
)

func main() { fmt.Println("started", crypt.KeySize) }
