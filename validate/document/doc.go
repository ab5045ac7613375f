// Package document judges formats whose grammar is left to a library: YAML,
// TOML, XML, CSV and INI, JSON Schema, and whatever a command of the user's
// says. A document is kept in memory as it arrives and judged as a whole, when
// somebody asks.
//
// # Verdicts
//
// No library says of a document that is not valid whether more bytes would make
// it so: it is Invalid as it stands, and that is not final. An answer costs as
// much as the whole document: ask at its end. A second question without bytes in
// between costs nothing.
//
// # Proven
//
// The start of a YAML, TOML, CSV or INI document is often a document itself.
// They are never proven, so that what a killed writer left is not taken for what
// it meant to write. XML ends with its root element: it is.
//
// # Size
//
// A document of more than MaxSize bytes is not judged: it is Whole, and not
// proven.
package document
