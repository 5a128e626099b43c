import { CEREMONY_SCRIPTS, ceremonyForm } from './ceremony.ts';
import { field } from './field.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { alertIcon, personIcon } from './icons.ts';
import { addressed, dayOf, hostOf, momentOf, named } from './layout.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

export interface PasskeyRow {
  readonly id: string;
  readonly name: string;
  /** The authenticator's model, where it is known. */
  readonly model: string | undefined;
  readonly aaguid: string;
  readonly keyStorage: 'hardware' | 'software' | 'unknown';
  readonly isSyncable: boolean;
  readonly isBackedUp: boolean;
  /** WebAuthn Level 3 8: `none`, `packed`, ... */
  readonly attestationFormat: string;
  readonly createdAt: Date;
  readonly lastUsedAt?: Date | undefined;
}

export interface IdentityRow {
  /** Names it in this page's addresses. */
  readonly key: string;
  /** The upstream's name, or its issuer where it is not configured any more. */
  readonly upstream: string;
  readonly email: string;
  readonly linkedAt: Date;
  readonly lastUsedAt?: Date | undefined;
}

/** Where the account is signed in. */
export interface SessionRow {
  readonly kind: 'browsers' | 'sessions';
  /** Names it in this page's addresses. */
  readonly key: string;
  /** The command line or application; undefined for a browser. */
  readonly client: string | undefined;
  /** As its client or browser said it: shown, and believed of nobody. */
  readonly device: string | undefined;
  readonly ip: string | undefined;
  /** Whether that address is in the network that the page is looked at from. */
  readonly isNear: boolean;
  /** Whether it is the browser that looks at the page. */
  readonly isHere: boolean;
  readonly startedAt: Date;
  readonly usedAt: Date;
  readonly endsAt: Date;
}

/** A session that was ended for a reason that its person should know. */
export interface EndedSessionRow {
  readonly client: string;
  readonly device: string | undefined;
  readonly endedAt: Date;
  readonly by: 'reuse' | 'admin';
}

export interface AccountOptions {
  readonly name: string;
  readonly email: string;
  /** Whether the person signed in just now, and so may change how they get in. */
  readonly isFresh: boolean;
  readonly passkeys: readonly PasskeyRow[];
  readonly identities: readonly IdentityRow[];
  readonly sessions: readonly SessionRow[];
  readonly ended: readonly EndedSessionRow[];
  /** Upstreams that could be linked. */
  readonly linkable: readonly { readonly id: string; readonly name: string }[];
  /** What was done just now. */
  readonly notice?: AccountNotice | undefined;
  readonly issuer: string;
}

export interface PasskeyOptions {
  readonly passkey: PasskeyRow;
  readonly isFresh: boolean;
  readonly issuer: string;
}

export type AccountNotice = keyof typeof texts.account.notices;

export function isAccountNotice(value: unknown): value is AccountNotice {
  return typeof value === 'string' && Object.hasOwn(texts.account.notices, value);
}

const PATH = '/login/account';

export function accountPage({ name, email, isFresh, passkeys, identities, sessions, ended, linkable, notice, issuer }: AccountOptions): Page {
  const { account } = texts;
  const host = hostOf(issuer);
  return {
    title: account.title,
    host,
    scripts: isFresh ? CEREMONY_SCRIPTS : [],
    main: html`<h1>${account.title}</h1>
${notice !== undefined && html`<p class="notice" role="status">${account.notices[notice]}</p>`}
<div class="asker">${personIcon}<div>
<p>${named(name)}</p>
<p class="aside">${addressed(email)}</p>
</div></div>
${ended.map(endedNotice)}
${!isFresh && confirmFirst()}
<h2 id="passkeys">${account.passkeys}</h2>
${passkeys.length === 0 ? html`<p class="aside">${account.noPasskeys}</p>` : html`<ul class="rows" aria-labelledby="passkeys">
${passkeys.map(passkeyRow)}</ul>`}
${isFresh && ceremonyForm({ kind: 'registration', path: `${PATH}/passkeys`, note: texts.enrol.note, button: account.add, script: texts.enrol.script(host) })}
${(identities.length > 0 || linkable.length > 0) && identitySection({ identities, linkable, isFresh })}
${sessionSection(sessions)}
<h2>${account.signOut}</h2>
<p class="aside">${account.signOutNote}</p>
<p><a class="button" href="/oauth/logout">${account.signOutButton}</a></p>`,
  };
}

function confirmFirst(): Html {
  const { account } = texts;
  return html`<div class="confirm"><p>${account.confirm}</p>
<p><a class="button primary" href="${PATH}/again">${account.confirmButton}</a></p></div>
`;
}

function passkeyRow({ id, name, createdAt, lastUsedAt }: PasskeyRow): Html {
  const { account } = texts;
  return html`<li><div><p>${named(name)}</p>
<p class="aside">${account.added(dayOf(createdAt))}<br>${lastUsedAt === undefined ? account.neverUsed : account.used(dayOf(lastUsedAt))}</p></div>
<a class="button small" href="${PATH}/passkeys/${encodeURIComponent(id)}">${account.manage}<span class="unseen"> ${named(name)}</span></a></li>
`;
}

function identitySection({ identities, linkable, isFresh }: Pick<AccountOptions, 'identities' | 'linkable' | 'isFresh'>): Html {
  const { account } = texts;
  return html`<h2 id="identities">${account.identities}</h2>
${identities.length > 0 && html`<ul class="rows" aria-labelledby="identities">
${identities.map(({ key, upstream, email, linkedAt, lastUsedAt }) => html`<li><div><p>${named(upstream)}</p>
<p class="aside">${addressed(email)}<br>${account.linked(dayOf(linkedAt))}<br>${lastUsedAt === undefined ? account.neverUsed : account.used(dayOf(lastUsedAt))}</p></div>
${isFresh && html`<form method="post" action="${PATH}/identities/${encodeURIComponent(key)}/unlink"><button class="button small" type="submit">${account.unlink}<span class="unseen"> ${named(upstream)}</span></button></form>`}</li>
`)}</ul>`}
${isFresh && linkable.map(({ id, name }) => html`<form method="post" action="${PATH}/link/${encodeURIComponent(id)}"><button class="button" type="submit">${account.link(name)}</button></form>
`)}`;
}

function endedNotice({ client, device, endedAt, by }: EndedSessionRow): Html {
  const { account } = texts;
  return html`<p class="notice warning" role="status">${account.ended[by]({ client: named(client), device: device === undefined ? undefined : named(device), at: momentOf(endedAt) })}</p>
`;
}

function sessionSection(sessions: readonly SessionRow[]): Html {
  const { account } = texts;
  return html`<h2 id="sessions">${account.sessions}</h2>
${sessions.length > 0 && html`<ul class="rows" aria-labelledby="sessions">
${sessions.map(sessionRow)}</ul>`}
${!sessions.some(({ kind }) => kind === 'sessions') && html`<p class="aside">${account.noSessions}</p>`}
<p class="aside" id="end-all">${account.endAllNote}</p>
<form method="post" action="${PATH}/sessions/end"><button class="button" type="submit" aria-describedby="end-all">${account.endAll}</button></form>`;
}

function sessionRow({ kind, key, client, device, ip, isNear, isHere, startedAt, usedAt, endsAt }: SessionRow): Html {
  const { account } = texts;
  const name = named(device ?? client ?? account.unknownBrowser);
  // The browser that looks is signed out below, where the person is asked first.
  return html`<li><div><p>${name}</p>
<p class="aside">${isHere && html`${account.here}<br>`}${client !== undefined && device !== undefined && html`${named(client)}<br>`}${account.since(momentOf(startedAt))}<br>${account.lastUsed(momentOf(usedAt), ip, isNear && !isHere)}<br>${account.until(momentOf(endsAt))}</p></div>
${!isHere && html`<form method="post" action="${PATH}/${kind}/${encodeURIComponent(key)}/end"><button class="button small" type="submit">${account.end}<span class="unseen"> ${name}</span></button></form>`}</li>
`;
}

export function passkeyPage({ passkey, isFresh, issuer }: PasskeyOptions): Page {
  const { passkeyDetails: details, account } = texts;
  const path = `${PATH}/passkeys/${encodeURIComponent(passkey.id)}`;
  return {
    title: details.title,
    host: hostOf(issuer),
    main: html`<p class="back"><a href="${PATH}">${details.back}</a></p>
<h1>${named(passkey.name)}</h1>
<dl>
<dt>${details.model}</dt><dd>${passkey.model ?? details.modelUnknown}<br><code>${passkey.aaguid}</code></dd>
<dt>${details.key}</dt><dd>${details.keys[passkey.keyStorage]}</dd>
<dt>${details.attestation}</dt><dd>${passkey.attestationFormat === 'none' ? details.attestationNone : passkey.keyStorage === 'hardware' ? details.attestationTrusted(passkey.attestationFormat) : details.attestationStated(passkey.attestationFormat)}</dd>
<dt>${details.backup}</dt><dd>${passkey.isBackedUp ? details.backedUp : passkey.isSyncable ? details.syncable : details.bound}</dd>
<dt>${details.addedAt}</dt><dd>${momentOf(passkey.createdAt)}</dd>
<dt>${details.usedAt}</dt><dd>${passkey.lastUsedAt === undefined ? account.neverUsed : momentOf(passkey.lastUsedAt)}</dd>
</dl>
${isFresh ? changeForms(path, passkey.name) : confirmFirst()}`,
  };
}

function changeForms(path: string, name: string): Html {
  const { passkeyDetails: details } = texts;
  return html`<h2>${details.rename}</h2>
<form method="post" action="${path}/rename">
${field({ name: 'name', label: details.name, hint: details.nameHint, missing: details.nameMissing, value: name, attributes: html`type="text" autocomplete="off" maxlength="60"` })}
<button class="button" type="submit">${details.renameButton}</button>
</form>
<h2>${details.remove}</h2>
<p class="aside">${details.removeNote}</p>
<form method="post" action="${path}/remove"><button class="button danger" type="submit">${details.removeButton}</button></form>`;
}

export function notSignedInPage(): Page {
  const { notSignedIn } = texts;
  return {
    title: notSignedIn.title,
    main: html`<div class="mark">${alertIcon}</div>
<h1>${notSignedIn.title}</h1>
<p>${notSignedIn.message}</p>
<p><a class="button primary" href="${PATH}">${notSignedIn.button}</a></p>`,
  };
}
