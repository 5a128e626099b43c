// A provider's rule, in the provider's own JSON or in flags, as one thing that can be evaluated.
import { asFields, Malformed, parseJson, type Fields } from '../fields.ts';

export interface ClaimCondition {
  readonly name: string;
  readonly expected: string;
  /** `like` knows `*` and `?` anywhere. */
  readonly operator: 'equals' | 'like';
}

export interface Rule {
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  /** Any of them will do; empty if the rule names none. */
  readonly audiences: readonly string[];
  readonly claims: readonly ClaimCondition[];
  /** A CEL expression or the like, which is not evaluated here. */
  readonly condition: string | undefined;
  /** `exp - iat`, if an admin has set it. */
  readonly mostSeconds: number | undefined;
  readonly isArchived: boolean;
  /** Kids of a JWKS that was uploaded in place of an address; undefined if the rule holds none. */
  readonly uploadedKids: readonly string[] | undefined;
  /** Whether what it does not say is known to be unsaid: flags may give a part of a rule only. */
  readonly isWhole: boolean;
}

export const EMPTY_RULE: Rule = Object.freeze({ issuer: undefined, subject: undefined, audiences: [], claims: [], condition: undefined, mostSeconds: undefined, isArchived: false, uploadedKids: undefined, isWhole: false });

/** Reads the JSON of a rule. Throws `Malformed`, which names the field. */
export function readRule(text: string): Rule {
  const fields = asFields(parseJson(text), 'the file');
  return fields['Statement'] === undefined ? readPlainRule(fields) : readTrustPolicy(fields);
}

/** Anthropic, OpenAI, OpenRouter, Google, Entra, Vault and Kubernetes name the same things differently. */
function readPlainRule(fields: Fields): Rule {
  // Kubernetes has an object where others have the address.
  const own = typeof fields['issuer'] === 'object' ? { ...fields, issuer: undefined } : fields;
  const parts = [own, ...['match', 'oidc', 'issuer', 'mapping'].map((name) => fields[name])].filter((part): part is Fields => typeof part === 'object' && part !== null && !Array.isArray(part));
  const find = (...names: readonly string[]): unknown => parts.flatMap((part) => names.map((name) => part[name])).find((value) => value !== undefined && value !== null && value !== '');
  const text = (...names: readonly string[]): string | undefined => {
    const value = find(...names);
    if (value === undefined || typeof value === 'string') return value;
    throw new Malformed(`"${names[0] ?? ''}" is not a text`);
  };
  const seconds = find('max_jwt_lifetime_seconds', 'max_assertion_lifetime_seconds');
  return {
    issuer: text('issuer_url', 'issuer', 'issuerUri', 'url', 'bound_issuer', 'oidc_discovery_url'),
    subject: text('subject_prefix', 'subject', 'external_subject', 'bound_subject', 'sub'),
    audiences: readTexts(find('audience', 'audiences', 'allowedAudiences', 'bound_audiences'), 'audience'),
    claims: [...readClaims(find('claims', 'bound_claims', 'attributes')), ...readRequiredClaims(find('claimValidationRules'))],
    condition: text('condition', 'attributeCondition', 'attribute_condition', 'attribute_conditions'),
    mostSeconds: typeof seconds === 'number' ? seconds : undefined,
    isArchived: find('archived_at') !== undefined || find('is_archived') === true || find('enabled') === false,
    uploadedKids: readUploadedKids(find('jwks', 'jwks_json', 'jwksJson', 'jwks_data')),
    isWhole: true,
  };
}

/** A key set, or the text of one; Anthropic says there, where there is none, how the keys are found. */
function readUploadedKids(value: unknown): readonly string[] | undefined {
  const { keys } = asFields(typeof value === 'string' ? parseJson(value) : value ?? {}, '"jwks"');
  if (keys === undefined) return undefined;
  if (!Array.isArray(keys)) throw new Malformed('"jwks.keys" is not a list');
  return keys.map((key: unknown) => {
    const { kid } = asFields(key, 'a key of "jwks"');
    return typeof kid === 'string' ? kid : '';
  });
}

function readTexts(value: unknown, name: string): readonly string[] {
  const all: readonly unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return all.map((item) => {
    if (typeof item === 'string') return item;
    throw new Malformed(`"${name}" holds something that is not a text`);
  });
}

function readClaims(value: unknown): readonly ClaimCondition[] {
  if (value === undefined) return [];
  return Object.entries(asFields(value, '"claims"')).map(([name, expected]) => {
    if (typeof expected === 'object') throw new Malformed(`"claims.${name}" is not a plain value`);
    return { name, expected: typeof expected === 'string' ? expected : JSON.stringify(expected), operator: 'equals' as const };
  });
}

function readRequiredClaims(value: unknown): readonly ClaimCondition[] {
  const rules: readonly unknown[] = Array.isArray(value) ? value : [];
  return rules.map((rule) => asFields(rule, '"claimValidationRules"')).filter(({ claim }) => typeof claim === 'string')
    .map(({ claim, requiredValue }) => ({ name: String(claim), expected: String(requiredValue), operator: 'equals' as const }));
}

/** The statement of an IAM trust policy that is for web identities. */
function readTrustPolicy(policy: Fields): Rule {
  const statements = (Array.isArray(policy['Statement']) ? policy['Statement'] : [policy['Statement']]).map((one: unknown) => asFields(one, '"Statement"'));
  const statement = statements.find((one) => readTexts(one['Action'], 'Action').some((action) => ['sts:AssumeRoleWithWebIdentity', 'sts:*', '*'].includes(action)));
  if (statement === undefined) throw new Malformed('no statement allows sts:AssumeRoleWithWebIdentity');
  const federated = asFields(statement['Principal'] ?? {}, '"Principal"')['Federated'];
  const host = typeof federated === 'string' ? /:oidc-provider\/(.+)$/.exec(federated)?.[1] : undefined;
  if (host === undefined) throw new Malformed('"Principal.Federated" is not the ARN of an OIDC identity provider');
  const conditions = Object.entries(asFields(statement['Condition'] ?? {}, '"Condition"')).flatMap(([operator, tests]) => readTests(operator, asFields(tests, `"${operator}"`), host));
  const [audiences, claims] = [conditions.filter(({ name }) => name === 'aud'), conditions.filter(({ name }) => name !== 'aud')];
  return { ...EMPTY_RULE, isWhole: true, issuer: `https://${host}`, audiences: audiences.map(({ expected }) => expected), claims };
}

function readTests(operator: string, tests: Fields, host: string): readonly ClaimCondition[] {
  const kind = operator.replace(/^ForAnyValue:|^ForAllValues:|IfExists$/g, '');
  if (kind !== 'StringEquals' && kind !== 'StringLike') throw new Malformed(`the condition operator ${operator} cannot be evaluated here`);
  return Object.entries(tests).map(([key, value]) => {
    const expected = readTexts(value, key);
    if (!key.startsWith(`${host}:`)) throw new Malformed(`the condition key ${key} does not begin with ${host}:, so it is never present`);
    if (expected.length !== 1) throw new Malformed(`the condition on ${key} has several values, which cannot be evaluated here`);
    return { name: key.slice(host.length + 1), expected: expected[0] ?? '', operator: kind === 'StringLike' ? 'like' as const : 'equals' as const };
  });
}
