import type { Facts } from './token_exchange.ts';

/** What was learnt about a request on its way, by the request's context: for its record. */
const KNOWN = new WeakMap<object, Facts>();

export function factsOf(context: object): Facts {
  const known = KNOWN.get(context) ?? {};
  KNOWN.set(context, known);
  return known;
}
