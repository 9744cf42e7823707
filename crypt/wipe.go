package crypt

import (
	"reflect"
	"unsafe"
)

// WipeCipher clears the key schedules of a cipher.Block or cipher.AEAD of the
// standard library, for providers that wrap DEKs themselves. v must not be used
// afterwards.
func WipeCipher(v any) { wipeState(v) }

// wipeState clears the memory of a cipher object: the standard library puts key
// schedules on the Go heap and offers no way to clear them.
//
// v must be a pointer, or hold pointers, to the structs of crypto/aes and
// crypto/cipher. Every struct that is reached through unexported fields of
// pointer or interface type within v is cleared bytewise, but for the pointers
// in it, so that the garbage collector finds them intact. A test reads the
// memory afterwards and fails when the standard library changes its shape.
func wipeState(v any) {
	wipeValue(reflect.ValueOf(v), 0)
}

const wipeDepthMax = 4 // aead → random-nonce wrapper → GCM → block

func wipeValue(v reflect.Value, depth int) {
	if depth > wipeDepthMax || !v.IsValid() {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			wipeValue(v.Elem(), depth)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			wipeMemory(v.Elem(), depth+1)
		}
	case reflect.Struct: // a struct held by value in an interface
		for _, f := range v.Fields() {
			if f.Kind() == reflect.Pointer || f.Kind() == reflect.Interface {
				wipeValue(f, depth)
			}
		}
	default:
	}
}

// wipeMemory clears an addressable value in place.
func wipeMemory(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			wipeMemory(f, depth)
		}
	case reflect.Array:
		switch v.Type().Elem().Kind() {
		case reflect.Uint8, reflect.Uint32, reflect.Uint64:
			if n := v.Type().Size(); n > 0 {
				clear(unsafe.Slice((*byte)(v.Addr().UnsafePointer()), n))
			}
		default:
			for i := range v.Len() {
				wipeMemory(v.Index(i), depth)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint32 || v.Type().Elem().Kind() == reflect.Uint8 {
			if v.Len() > 0 {
				size := uintptr(v.Len()) * v.Type().Elem().Size()
				clear(unsafe.Slice((*byte)(v.UnsafePointer()), size))
			}
		}
	case reflect.Pointer, reflect.Interface:
		wipeValue(v, depth)
	default:
	}
}
