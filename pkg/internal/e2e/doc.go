// Package e2e has no code of its own: its tests run the programs of bin/ as an operator does, on a simulated rack, from
// powered-off servers to ready ones and through the faults between. `make build payload` comes first.
//
// Those that boot virtual machines need RACKER_VM=1; the others need root alone.
package e2e
