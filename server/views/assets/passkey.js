// Drives the passkey form of the enrolment and sign-in pages. Every sentence it shows stands on the
// form, in data-text-... attributes. Needs webauthn.js (SimpleWebAuthnBrowser) to have run before it.
(function () {
  'use strict';

  const form = document.querySelector('form[data-ceremony]');
  if (!form) return;

  const isRegistration = form.dataset.ceremony === 'registration';
  const button = form.querySelector('button[type="submit"]');
  const label = form.querySelector('[data-label]');
  const note = form.querySelector('[data-note]');
  const inputs = Array.from(form.querySelectorAll('input'));
  const idle = { label: label.textContent, note: note.textContent };
  const hints = new Map(inputs.map((input) => [input, hintOf(input).textContent]));
  const REQUEST_TIMEOUT_MS = 30000;
  let isBusy = false;

  /** A refusal that already has its sentence, and perhaps the field it is about. */
  class Refusal extends Error {
    constructor(message, field) {
      super(message);
      this.field = field;
    }
  }

  // The names of the errors that navigator.credentials throws, and what to say about each.
  const SENTENCES = {
    NotAllowedError: 'cancelled',
    AbortError: 'cancelled',
    InvalidStateError: 'alreadyRegistered',
    SecurityError: 'wrongAddress',
    NotSupportedError: 'notSupported',
    ConstraintError: 'notSupported',
  };

  const obstacle = findObstacle();
  if (obstacle) {
    form.dataset.state = 'unavailable';
    say(text(obstacle), 'error');
    return;
  }

  form.noValidate = true;
  form.addEventListener('submit', onSubmit);
  inputs.forEach((input) => input.addEventListener('input', () => clearField(input)));
  // The browser may bring this page back from its cache exactly as it was left: busy.
  window.addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    setBusy(false);
    say(idle.note, '');
  });
  button.disabled = false;
  form.dataset.state = 'ready';
  offerPicking();

  function findObstacle() {
    if (!window.isSecureContext) return 'insecure';
    if (!window.PublicKeyCredential) return 'noWebauthn';
    if (!window.SimpleWebAuthnBrowser) return 'incomplete';
    return undefined;
  }

  async function onSubmit(event) {
    event.preventDefault();
    // The button stays focusable while busy, so a second press must be ignored here.
    if (isBusy || !checkFields()) return;
    setBusy(true);
    try {
      const redirect = await runCeremony();
      say(text('done'), '');
      // Stays busy: the browser is leaving this page.
      window.location.assign(redirect);
    } catch (error) {
      setBusy(false);
      showFailure(error);
    }
  }

  // Conditional mediation: the browser lists its passkeys in a field. It is begun when somebody comes near the field,
  // so that a visit to this page alone opens no ceremony; the button's own ceremony takes its place.
  async function offerPicking() {
    const picker = document.querySelector('[data-pick]');
    if (!picker || isRegistration || !(await SimpleWebAuthnBrowser.browserSupportsWebAuthnAutofill())) return;
    const input = picker.querySelector('input');
    let begunAt = 0;
    const begin = async () => {
      // A challenge is good for five minutes.
      if (isBusy || (begunAt !== 0 && Date.now() - begunAt < 240000)) return;
      begunAt = Date.now();
      try {
        const { options } = await post(form.dataset.options, {});
        const response = await SimpleWebAuthnBrowser.startAuthentication({ optionsJSON: options, useBrowserAutofill: true });
        setBusy(true);
        progress('finishing', idle.note);
        const { redirect } = await post(form.dataset.verify, { response });
        const address = httpAddress(redirect);
        say(text('done'), '');
        window.location.assign(address);
      } catch (error) {
        begunAt = 0;
        // Given up for the button's ceremony, or for a later one of its own: nothing to tell.
        if (error.name === 'AbortError') return;
        setBusy(false);
        showFailure(error);
      }
    };
    input.addEventListener('pointerenter', begin);
    input.addEventListener('focus', begin);
    picker.hidden = false;
  }

  async function runCeremony() {
    progress('starting', idle.note);
    const { options } = await post(form.dataset.options, fieldValues());
    if (!options) throw new Refusal(text('unexpected'));
    progress('waiting', text('prompt'));
    const start = isRegistration ? SimpleWebAuthnBrowser.startRegistration : SimpleWebAuthnBrowser.startAuthentication;
    const response = await start({ optionsJSON: options });
    progress('finishing', idle.note);
    const { redirect } = await post(form.dataset.verify, { response });
    return httpAddress(redirect);
  }

  async function post(path, body) {
    const response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      credentials: 'same-origin',
      body: JSON.stringify(body),
      // Browsers older than AbortSignal.timeout wait for as long as the network does.
      signal: AbortSignal.timeout ? AbortSignal.timeout(REQUEST_TIMEOUT_MS) : undefined,
    }).catch(() => {
      throw new Refusal(text('unreachable'));
    });
    // A proxy in between may answer with a page of its own.
    const answer = (await response.json().catch(() => null)) || {};
    if (!response.ok) throw new Refusal(answer.message || answer.error_description || text('unexpected'), answer.field);
    return answer;
  }

  // Never follow an answer into a javascript: or data: address.
  function httpAddress(redirect) {
    // An anchor parses like `new URL`, but never throws.
    const anchor = document.createElement('a');
    anchor.href = redirect || '';
    if (!redirect || !/^https?:$/.test(anchor.protocol)) throw new Refusal(text('unexpected'));
    return anchor.href;
  }

  function fieldValues() {
    return Object.fromEntries(inputs.map((input) => [input.name, input.value.trim()]));
  }

  function checkFields() {
    inputs.forEach(clearField);
    const wrong = inputs.filter((input) => input.value.trim() === '' || !input.validity.valid);
    wrong.forEach((input) => {
      const isMissing = input.value.trim() === '';
      markField(input, isMissing ? input.dataset.textMissing : input.dataset.textMalformed);
    });
    if (wrong.length > 0) wrong[0].focus();
    return wrong.length === 0;
  }

  function showFailure(error) {
    const isKnown = error instanceof Refusal;
    const sentence = isKnown ? error.message : text(SENTENCES[error.name]) || text('unexpected');
    const input = isKnown && inputs.find((candidate) => candidate.name === error.field);
    if (!input) {
      say(sentence, 'error');
      return;
    }
    say(idle.note, '');
    markField(input, sentence);
    input.focus();
  }

  function markField(input, sentence) {
    input.setAttribute('aria-invalid', 'true');
    hintOf(input).dataset.state = 'error';
    hintOf(input).textContent = sentence;
  }

  function clearField(input) {
    if (!input.hasAttribute('aria-invalid')) return;
    input.removeAttribute('aria-invalid');
    delete hintOf(input).dataset.state;
    hintOf(input).textContent = hints.get(input);
  }

  function setBusy(value) {
    isBusy = value;
    form.dataset.state = value ? 'busy' : 'ready';
    button.setAttribute('aria-busy', String(value));
    button.setAttribute('aria-disabled', String(value));
    inputs.forEach((input) => { input.readOnly = value; });
    if (!value) label.textContent = idle.label;
  }

  function progress(key, sentence) {
    label.textContent = text(key);
    say(sentence, '');
  }

  function say(sentence, state) {
    note.dataset.state = state;
    note.textContent = sentence;
  }

  function hintOf(input) {
    return document.getElementById(input.getAttribute('aria-describedby'));
  }

  function text(key) {
    return key && form.dataset['text' + key[0].toUpperCase() + key.slice(1)];
  }
})();
