/**
 * Why an emulated provider refused.
 *
 * The client is told as little as the real provider tells it; the reason goes to the emulator's history.
 * Reasons that a provider documents keep their name, ours start with `x_`.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(detail);
    this.reason = reason;
  }
}
