// Package journal makes commits durable with one sync of one file, and
// brings the backing directory up to date behind them.
package journal
