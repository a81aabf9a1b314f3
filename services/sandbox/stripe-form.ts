import { StripeRefusal } from './stripe-meters.ts';

const MAX_NAME_CHARACTERS = 100;

/** A parameter that must be there and not empty. Throws StripeRefusal, as all of these. */
export const required = (form: URLSearchParams, param: string): string => {
  const value = form.get(param);
  if (value === null || value === '') {
    throw new StripeRefusal(400, `Missing required param: ${param}.`, {
      code: 'parameter_missing',
      param,
    });
  }
  return value;
};

/** A whole number of at most twelve digits: seconds since the epoch, or a page size. */
export const seconds = (param: string, text: string): number => {
  if (!/^\d{1,12}$/.test(text)) {
    throw new StripeRefusal(400, `Invalid integer: ${text}`, {
      code: 'parameter_invalid_integer',
      param,
    });
  }
  return Number.parseInt(text, 10);
};

/** A name within the vendor's limit. */
export const atMost100 = (param: string, text: string): string => {
  if (text.length > MAX_NAME_CHARACTERS) {
    throw new StripeRefusal(
      400,
      `Invalid string: must be at most ${MAX_NAME_CHARACTERS} characters`,
      { param },
    );
  }
  return text;
};

/** Whole numbers only, negative ones too: the standard setting of a meter. */
export const wholeValue = (text: string): bigint => {
  if (!/^-?\d{1,15}$/.test(text)) {
    throw new StripeRefusal(400, 'The value of a meter event must be a whole number.', {
      code: 'meter_event_invalid_value',
      param: 'payload[value]',
    });
  }
  return BigInt(text);
};
