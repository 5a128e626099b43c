// Owns: the pages a person sees, their sentences, style and script.
// Never does: read a request, decide, or know who is signed in; it turns options into documents.
// Keeps true: every value is escaped, and no page needs an inline script, an inline style or another origin.

import { accountPage, notSignedInPage, passkeyPage } from './account.ts';
import type { AccountOptions, PasskeyOptions } from './account.ts';
import type { Assets } from './assets.ts';
import { consentPage } from './consent.ts';
import type { ConsentOptions } from './consent.ts';
import { deviceCodePage, deviceConfirmPage, deviceDeniedPage, deviceDonePage, deviceRefusedPage } from './device.ts';
import type { DeviceCodeOptions, DeviceConfirmOptions, DeviceProblem, DeviceRefusedOptions, DeviceView } from './device.ts';
import { enrolledPage, enrolPage, invitationUsedPage } from './enrol.ts';
import type { EnrolledOptions, EnrolOptions } from './enrol.ts';
import { renderDocument } from './layout.ts';
import type { Page } from './layout.ts';
import { continuePage, errorPage, postingPage } from './message.ts';
import type { ContinueOptions, ErrorOptions, PostingOptions } from './message.ts';
import { signInPage } from './sign_in.ts';
import type { SignInOptions } from './sign_in.ts';
import { signedOutPage, signOutPage } from './sign_out.ts';
import type { SignOutOptions } from './sign_out.ts';

export { isAccountNotice } from './account.ts';
export type { AccountNotice, AccountOptions, IdentityRow, PasskeyOptions, PasskeyRow, SessionRow } from './account.ts';
export { ASSETS_ROOT, loadAssets } from './assets.ts';
export type { Asset, Assets } from './assets.ts';
export type { ConsentOptions, ContinueOptions, DeviceCodeOptions, DeviceConfirmOptions, DeviceProblem, DeviceRefusedOptions, DeviceView, EnrolledOptions, EnrolOptions, ErrorOptions, PostingOptions, SignInOptions, SignOutOptions };

/** One function a page; each returns a whole HTML document. */
export interface Pages {
  renderEnrolPage(options: EnrolOptions): string;
  renderEnrolledPage(options: EnrolledOptions): string;
  renderInvitationUsedPage(): string;
  renderSignInPage(options: SignInOptions): string;
  renderConsentPage(options: ConsentOptions): string;
  renderDeviceCodePage(options: DeviceCodeOptions): string;
  renderDeviceConfirmPage(options: DeviceConfirmOptions): string;
  renderDeviceDonePage(options: { readonly name: string | undefined }): string;
  renderDeviceDeniedPage(): string;
  renderDeviceRefusedPage(options: DeviceRefusedOptions): string;
  renderContinuePage(options: ContinueOptions): string;
  renderPostingPage(options: PostingOptions): string;
  renderErrorPage(options: ErrorOptions): string;
  renderAccountPage(options: AccountOptions): string;
  renderPasskeyPage(options: PasskeyOptions): string;
  renderNotSignedInPage(): string;
  renderSignOutPage(options: SignOutOptions): string;
  renderSignedOutPage(): string;
}

export interface PagesOptions {
  readonly assets: Assets;
  /** Stands in the header and after every title. */
  readonly productName: string;
}

/** Binds the pages to the assets they link to. */
export function createPages({ assets, productName }: PagesOptions): Pages {
  const show = (page: Page) => renderDocument({ assets, productName }, page);
  return Object.freeze({
    renderEnrolPage: (options: EnrolOptions) => show(enrolPage(options)),
    renderEnrolledPage: (options: EnrolledOptions) => show(enrolledPage(options)),
    renderInvitationUsedPage: () => show(invitationUsedPage()),
    renderSignInPage: (options: SignInOptions) => show(signInPage(options)),
    renderConsentPage: (options: ConsentOptions) => show(consentPage(options)),
    renderDeviceCodePage: (options: DeviceCodeOptions) => show(deviceCodePage(options)),
    renderDeviceConfirmPage: (options: DeviceConfirmOptions) => show(deviceConfirmPage(options)),
    renderDeviceDonePage: (options: { readonly name: string | undefined }) => show(deviceDonePage(options)),
    renderDeviceDeniedPage: () => show(deviceDeniedPage()),
    renderDeviceRefusedPage: (options: DeviceRefusedOptions) => show(deviceRefusedPage(options)),
    renderContinuePage: (options: ContinueOptions) => show(continuePage(options)),
    renderPostingPage: (options: PostingOptions) => show(postingPage(options)),
    renderErrorPage: (options: ErrorOptions) => show(errorPage(options)),
    renderAccountPage: (options: AccountOptions) => show(accountPage(options)),
    renderPasskeyPage: (options: PasskeyOptions) => show(passkeyPage(options)),
    renderNotSignedInPage: () => show(notSignedInPage()),
    renderSignOutPage: (options: SignOutOptions) => show(signOutPage(options)),
    renderSignedOutPage: () => show(signedOutPage()),
  });
}
