import type { Flavour } from '../../../schemas/words.ts';
import type { ReplyHead } from '../../../services/proxy/core/flavour.ts';
import { createReplyMeter } from '../../../services/proxy/reply-meter.ts';

/** What a reply states, and the text it was seen to have. */
export const meter = (
  flavour: Flavour,
  body: string | Buffer,
  contentType?: string,
  head?: ReplyHead,
) => {
  const reply = createReplyMeter(flavour, contentType, head ? { head } : {});
  reply.feed(Buffer.from(body));
  reply.end();
  return { ...reply.statement(), text: reply.textSeen() };
};

/** Of one JSON body. */
export const whole = (flavour: Flavour, body: unknown, head?: ReplyHead) =>
  meter(flavour, JSON.stringify(body), 'application/json', head);

/** Of a stream of server-sent events. */
export const events = (flavour: Flavour, list: readonly unknown[]) =>
  meter(
    flavour,
    list.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''),
    'text/event-stream',
  );
