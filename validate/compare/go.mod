module intactfs/validate/compare

go 1.26.8

require (
	github.com/goccy/go-json v0.10.5
	github.com/tidwall/gjson v1.18.0
	intactfs v0.0.0
)

require (
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
)

replace intactfs => ../..
