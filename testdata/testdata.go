// Package testdata holds a small real data set for the demo and the tests:
// the airports of the United States and how many flights went between them in
// 2008. SOURCES.md says where it comes from and under which terms.
package testdata

import _ "embed"

// Airports is CSV with a header (iata, name, city, state, country, latitude,
// longitude) and AirportRows rows; iata is unique.
//
//go:embed airports.csv
var Airports string

// Routes is CSV with a header (origin, destination, flights) and RouteRows
// rows; origin and destination are iata codes of Airports, flights counts the
// flights of 2008.
//
//go:embed routes.csv
var Routes string

// Rows of the data set without the headers.
const (
	AirportRows = 3376
	RouteRows   = 5366
)
