import { CEREMONY_SCRIPTS, ceremonyForm } from './ceremony.ts';
import { field } from './field.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { alertIcon, doneIcon } from './icons.ts';
import { addressed, hostOf, named } from './layout.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

export interface EnrolOptions {
  /** The secret of the invitation link. */
  readonly token: string;
  readonly issuer: string;
  /** Where the invitation is for one address alone. */
  readonly email?: string | undefined;
}

export interface EnrolledOptions {
  readonly email: string;
  readonly name: string;
  readonly issuer: string;
}

export function enrolPage({ token, issuer, email }: EnrolOptions): Page {
  const { enrol } = texts;
  const host = hostOf(issuer);
  return {
    title: enrol.title,
    host,
    scripts: CEREMONY_SCRIPTS,
    main: html`<h1>${enrol.title}</h1>
<p>${enrol.lead(host)}</p>
${ceremonyForm({
  kind: 'registration',
  path: `/login/enrol/${encodeURIComponent(token)}`,
  fields: html`${field({
    name: 'email',
    label: enrol.email,
    hint: email === undefined ? enrol.emailHint : enrol.emailFixed,
    ...(email === undefined ? {} : { value: email }),
    missing: enrol.emailMissing,
    malformed: enrol.emailMalformed,
    attributes: html`type="email" autocomplete="email" autocapitalize="none" spellcheck="false" maxlength="254"${email !== undefined && html` readonly`}`,
  })}
${field({
  name: 'name',
  label: enrol.name,
  hint: enrol.nameHint,
  missing: enrol.nameMissing,
  attributes: html`type="text" autocomplete="name" maxlength="200"`,
})}`,
  note: enrol.note,
  button: enrol.button,
  script: enrol.script(host),
})}`,
  };
}

export function enrolledPage({ email, name, issuer }: EnrolledOptions): Page {
  const { enrolled } = texts;
  return {
    title: enrolled.title,
    host: hostOf(issuer),
    main: html`<div class="mark good">${doneIcon}</div>
<h1>${enrolled.title}</h1>
<p>${enrolled.lead(named(name), addressed(email))}</p>
<p>${enrolled.next}</p>
${command()}
<p class="aside">${enrolled.close}</p>`,
  };
}

export function invitationUsedPage(): Page {
  const { invitationUsed } = texts;
  return {
    title: invitationUsed.title,
    main: html`<div class="mark">${alertIcon}</div>
<h1>${invitationUsed.title}</h1>
<p>${invitationUsed.message}</p>
<p>${invitationUsed.enrolled}</p>
${command()}
<p class="aside">${invitationUsed.ask}</p>`,
  };
}

function command(): Html {
  return html`<p class="command"><code>${texts.enrolled.command}</code></p>`;
}
