import { collectDefaultMetrics, Counter, Registry } from 'prom-client';

export interface Metrics {
  countIssued(audience: string): void;
  countRefused(route: string, code: string): void;
  countFailure(): void;
  countAlarm(alarm: 'activation_forced' | 'clock_skew'): void;
  countSignIn(outcome: 'signed_in' | 'enrolled' | 'refused'): void;
  /** In the Prometheus text format. */
  render(): Promise<{ contentType: string; body: string }>;
}

/** Labels are of small closed sets only: a registered audience, a route, a registered code. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) => new Counter({ name, help, labelNames, registers: [registry] });
  const issued = counter('vouch_federation_tokens_total', 'Federation tokens issued', ['audience']);
  const refused = counter('vouch_refused_requests_total', 'Protocol requests refused', ['route', 'code']);
  const failures = counter('vouch_failures_total', 'Requests that failed by our own mistake', []);
  const alarms = counter('vouch_alarms_total', 'What an operator should look at', ['alarm']);
  const signIns = counter('vouch_sign_ins_total', 'Passkey ceremonies by outcome', ['outcome']);
  return {
    countIssued: (audience) => { issued.inc({ audience }); },
    countRefused: (route, code) => { refused.inc({ route, code }); },
    countFailure: () => { failures.inc(); },
    countAlarm: (alarm) => { alarms.inc({ alarm }); },
    countSignIn: (outcome) => { signIns.inc({ outcome }); },
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
