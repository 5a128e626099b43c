import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

export interface Metrics {
  countIssued(audience: string): void;
  countRefused(route: string, code: string): void;
  countFailure(): void;
  /** A token that its audience's policy would have denied, were it enforced. */
  countWouldDeny(audience: string): void;
  /** One insert of the issuance record: how many rows it took along, and how long the first of them had waited. */
  observeAuditBatch(rows: number, waitMs: number): void;
  countAlarm(alarm: 'activation_forced' | 'key_set_rolled_back' | 'key_not_proved' | 'clock_skew' | 'audit_dropped' | 'token_reused' | 'shared_address'): void;
  countLimited(rule: string): void;
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
  const limited = counter('vouch_limited_total', 'Times that a network or an account went over a rate limit', ['rule']);
  const wouldDeny = counter('vouch_policy_would_deny_total', 'Tokens that an audience in audit mode would have denied', ['audience']);
  const batchRows = new Histogram({ name: 'vouch_audit_batch_rows', help: 'Rows of the issuance record written with one insert', buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256], registers: [registry] });
  const batchWait = new Histogram({ name: 'vouch_audit_batch_wait_seconds', help: 'How long the first row of an insert waited for it, until it was durable', buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10], registers: [registry] });
  return {
    countWouldDeny: (audience) => { wouldDeny.inc({ audience }); },
    observeAuditBatch: (rows, waitMs) => {
      batchRows.observe(rows);
      batchWait.observe(waitMs / 1000);
    },
    countIssued: (audience) => { issued.inc({ audience }); },
    countRefused: (route, code) => { refused.inc({ route, code }); },
    countFailure: () => { failures.inc(); },
    countLimited: (rule) => { limited.inc({ rule }); },
    countAlarm: (alarm) => { alarms.inc({ alarm }); },
    countSignIn: (outcome) => { signIns.inc({ outcome }); },
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
