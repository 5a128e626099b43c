// What the admin API says of audiences.
import { readAnswer, readText, takeOptionalText, takeText } from '../answers.ts';
import { asFields, takeBoolean, takeList, takeNullable, takeNumber, takeString, type Fields } from '../fields.ts';

export interface Clause {
  /** As it is kept, with the account's id. */
  readonly kept: string;
  /** As people write it, with the account's name. */
  readonly label: string;
}

export interface Audience {
  readonly name: string;
  readonly kind: string;
  readonly preset: string;
  readonly algorithm: string;
  readonly lifetimeSeconds: number;
  readonly maxAuthAgeSeconds: number | undefined;
  readonly mode: string;
  readonly isEnabled: boolean;
  readonly scopes: readonly string[];
  readonly allow: readonly Clause[];
  readonly deny: readonly Clause[];
  readonly clients: readonly string[];
  readonly revision: number;
  readonly isConfigured: boolean;
}

/** Somebody who could have a token, by which clause. */
export interface Candidate {
  readonly name: string;
  readonly kind: string;
  readonly clause: string;
}

export const readAudiences = (fields: Fields): readonly Audience[] => readAnswer(() => takeList(fields, 'audiences', takeAudience));

export const readAudience = (fields: unknown): Audience => readAnswer(() => takeAudience(fields));

/** An audience that was written, and what the issuer has to say about it. */
export const readKept = (fields: Fields): { readonly audience: Audience; readonly advice: readonly string[] } =>
  readAnswer(() => ({ audience: takeAudience(fields['audience']), advice: takeList(fields, 'advice', readText) }));

export const readVerdict = (fields: Fields): { readonly account: string; readonly isAllowed: boolean; readonly clause: string; readonly reason: string | undefined } => readAnswer(() => ({
  account: takeText(asFields(fields['account'], '"account"'), 'name'),
  isAllowed: takeBoolean(fields, 'is_allowed'), clause: takeDecidingClause(fields, asFields(fields['account'], '"account"')), reason: takeOptionalText(fields, 'reason'),
}));

export const readCandidates = (fields: Fields): { readonly who: readonly Candidate[]; readonly asked: number; readonly isComplete: boolean } => readAnswer(() => ({
  who: takeList(fields, 'who', (item) => {
    const one = asFields(item, 'an account');
    return { name: takeText(one, 'name'), kind: takeText(one, 'kind'), clause: takeDecidingClause(one, one) };
  }),
  asked: takeNumber(fields, 'asked'), isComplete: takeBoolean(fields, 'is_complete'),
}));

/** The only account that such a clause names is the one that was asked about: by its name it says more. */
function takeDecidingClause(fields: Fields, account: Fields): string {
  return takeText(fields, 'clause').split(takeText(account, 'id')).join(takeText(account, 'name'));
}

function takeAudience(value: unknown): Audience {
  const fields = asFields(value, 'an audience');
  return {
    name: takeText(fields, 'name'), kind: takeText(fields, 'kind'), preset: takeText(fields, 'preset'), algorithm: takeText(fields, 'algorithm'),
    lifetimeSeconds: takeNumber(fields, 'lifetime_seconds'), maxAuthAgeSeconds: takeNullable(fields, 'max_auth_age_seconds', takeNumber),
    mode: takeText(fields, 'mode'), isEnabled: takeBoolean(fields, 'is_enabled'), scopes: takeList(fields, 'scopes', readText),
    allow: takeList(fields, 'allow', takeClause), deny: takeList(fields, 'deny', takeClause), clients: takeList(fields, 'clients', readText),
    revision: takeNumber(fields, 'revision'), isConfigured: takeBoolean(fields, 'is_configured'),
  };
}

/** The clause goes back to the issuer, so it is taken as it is; only the label is shown. */
function takeClause(value: unknown): Clause {
  const fields = asFields(value, 'a clause');
  return { kept: takeString(fields, 'clause'), label: takeText(fields, 'label') };
}
