// The one shape of all machines: inputs in, effects out, nothing waits.
//
// `step` changes the state in place and returns what the driver must do, in order. It is
// deterministic: the same state and the same input give the same effects, in production, in the
// simulator and in the explorer, which copies the state first. A machine never holds payloads.

export type Step<State, Input, Effect> = (state: State, input: Input) => Effect[];
