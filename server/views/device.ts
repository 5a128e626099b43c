import { html } from './html.ts';
import type { Html } from './html.ts';
import { alertIcon, doneIcon, terminalIcon } from './icons.ts';
import { momentOf, named } from './layout.ts';
import type { Page } from './layout.ts';
import { texts } from './texts.ts';

/** A device that asks to be signed in, as a person is shown it. Name and system are its own words. */
export interface DeviceView {
  readonly name: string | undefined;
  readonly os: string | undefined;
  readonly address: string | undefined;
  /** How far that address is from the browser's own. */
  readonly distance: 'same_address' | 'same_network' | 'another_network' | 'unknown';
  /** As the device shows it. */
  readonly code: string;
  readonly askedAt: Date;
}

/** What was wrong with a code that came. */
export type DeviceProblem = 'missing' | 'unknown' | 'expired' | 'used' | 'stale' | 'over' | 'tooMany';

export interface DeviceCodeOptions {
  /** Where the form goes. */
  readonly action: string;
  /** The secret that shows that the form is ours; without it the page has no form but a link to one. */
  readonly xsrf: string | undefined;
  /** What was typed before, to be corrected. */
  readonly code?: string | undefined;
  readonly problem?: DeviceProblem | undefined;
}

export interface DeviceConfirmOptions {
  readonly action: string;
  readonly xsrf: string;
  readonly clientName: string;
  readonly device: DeviceView;
}

export interface DeviceRefusedOptions {
  /** Part of a sentence, without a full stop. */
  readonly reason: string;
}

/** Asks for the code that a device shows (RFC 8628 3.3). */
export function deviceCodePage({ action, xsrf, code = '', problem }: DeviceCodeOptions): Page {
  const { deviceCode } = texts;
  const hint = problem === undefined ? deviceCode.hint : deviceCode.problems[problem];
  const isWrong = problem !== undefined;
  return {
    title: deviceCode.title,
    main: xsrf === undefined
      ? html`<div class="mark">${alertIcon}</div>
<h1>${deviceCode.title}</h1>
<p>${hint}</p>
<p><a class="button" href="${action}">${deviceCode.again}</a></p>`
      : html`<h1>${deviceCode.title}</h1>
<p>${deviceCode.lead}</p>
<form method="post" action="${action}">
<input type="hidden" name="xsrf" value="${xsrf}">
<div class="field">
<label for="user_code">${deviceCode.label}</label>
<input class="user-code" id="user_code" name="user_code" value="${code}" type="text" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="32" required autofocus aria-describedby="user_code-hint"${isWrong && html` aria-invalid="true"`}>
<p class="hint" id="user_code-hint"${isWrong && html` role="alert" data-state="error"`}>${hint}</p>
</div>
<button class="button primary" type="submit">${deviceCode.button}</button>
</form>
<p class="aside">${deviceCode.care}</p>`,
  };
}

/** Who asks, from where, and whether its code is the right one. No is as near as yes. */
export function deviceConfirmPage({ action, xsrf, clientName, device }: DeviceConfirmOptions): Page {
  const { deviceConfirm } = texts;
  const form = (field: string, button: Html) => html`<form method="post" action="${action}">
<input type="hidden" name="xsrf" value="${xsrf}">
<input type="hidden" name="user_code" value="${device.code}">
<input type="hidden" name="${field}" value="yes">
${button}
</form>`;
  return {
    title: deviceConfirm.title,
    main: html`<h1>${deviceConfirm.title}</h1>
<div class="asker">${terminalIcon}<div>
<p>${deviceConfirm.asks(named(clientName))}</p>
</div></div>
<p id="compare">${deviceConfirm.compare}</p>
<p class="user-code" aria-labelledby="compare">${device.code}</p>
<dl class="facts">
<dt>${deviceConfirm.name}</dt><dd>${device.name === undefined ? deviceConfirm.unsaid : named(device.name)}</dd>
<dt>${deviceConfirm.os}</dt><dd>${device.os === undefined ? deviceConfirm.unsaid : named(device.os)}</dd>
<dt>${deviceConfirm.asked}</dt><dd>${momentOf(device.askedAt)}</dd>
<dt>${deviceConfirm.address}</dt><dd>${device.address === undefined ? deviceConfirm.addressUnknown : named(device.address)}</dd>
</dl>
<p class="note-line"${device.distance === 'another_network' && html` data-state="error"`}>${deviceConfirm.distances[device.distance]}</p>
<p>${deviceConfirm.care}</p>
<div class="choices">
${form('abort', html`<button class="button" type="submit">${deviceConfirm.deny}</button>`)}
${form('confirm', html`<button class="button primary" type="submit">${deviceConfirm.goOn}</button>`)}
</div>`,
  };
}

export function deviceDonePage({ name }: { readonly name: string | undefined }): Page {
  const { deviceDone } = texts;
  return {
    title: deviceDone.title,
    main: html`<div class="mark good">${doneIcon}</div>
<h1>${deviceDone.title}</h1>
<p>${name === undefined ? deviceDone.message : deviceDone.messageOn(named(name))}</p>
<p class="aside">${deviceDone.close}</p>`,
  };
}

export function deviceDeniedPage(): Page {
  const { deviceDenied } = texts;
  return {
    title: deviceDenied.title,
    main: html`<div class="mark good">${doneIcon}</div>
<h1>${deviceDenied.title}</h1>
<p>${deviceDenied.message}</p>
<p class="aside">${deviceDenied.care}</p>`,
  };
}

/** The person may not sign in this way. */
export function deviceRefusedPage({ reason }: DeviceRefusedOptions): Page {
  const { deviceRefused } = texts;
  return {
    title: deviceRefused.title,
    main: html`<div class="mark">${alertIcon}</div>
<h1>${deviceRefused.title}</h1>
<p>${deviceRefused.reason(reason)}</p>
<p>${deviceRefused.hint}</p>`,
  };
}
