import type { Size } from './directive.ts';
import type { Generation, Piece } from './generation.ts';
import type { ListedModel, Provider } from './price-list.ts';
import type { ProviderIds } from './provider-ids.ts';

/** A refusal: nothing was generated, nothing is billed. The dialect words it. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly param?: string;
  readonly code?: string;
}

/** A request as far as the provider cares about it. */
export interface ParsedRequest {
  readonly modelName: string;
  readonly stream: boolean;
  /** OpenAI chat only: state the usage in the stream. */
  readonly includeUsage: boolean;
  readonly directiveText: string;
  readonly size: Size;
  /** The request's own body, for endpoints that answer by it. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** What a path and its query say, in dialects whose bodies leave it to them. */
export interface Target {
  /** The model, or the deployment that stands for one. */
  readonly model?: string;
  readonly stream?: boolean;
  readonly query: URLSearchParams;
}

/** Text, or bytes where the dialect frames in binary. */
export type Frames = string | Buffer;

/** A streamed answer in the dialect's frames. `piece` may be empty: hidden reasoning has no frame. */
export interface StreamForm {
  /** Content type; server-sent events where absent. */
  readonly type?: string;
  head(): Frames;
  piece(piece: Piece): Frames;
  tail(): Frames;
}

export interface AnswerContext {
  readonly generation: Generation;
  readonly request: ParsedRequest;
  readonly ids: ProviderIds;
  readonly atMs: number;
}

/** One metered endpoint of one vendor. */
export interface Endpoint {
  readonly provider: Provider;
  readonly kind: ListedModel['kind'];
  /** Returns a Refusal where the vendor would answer 400. */
  parse(body: Readonly<Record<string, unknown>>, target?: Target): ParsedRequest | Refusal;
  /** The whole answer as JSON text; takes everything out of the generation. */
  json(context: AnswerContext): string;
  /** Headers of a whole answer, beside the vendor's, once it exists. */
  jsonHeaders?(context: AnswerContext): Readonly<Record<string, string>>;
  /** Undefined where the endpoint does not stream. */
  stream?(context: AnswerContext): StreamForm;
}

/** What every answer and refusal of a vendor has in common. */
export interface Vendor {
  readonly provider: Provider;
  requestId(ids: ProviderIds): string;
  headers(requestId: string): Readonly<Record<string, string>>;
  /** Whether any credential is there; which one does not matter here. */
  hasCredential(headers: Readonly<Record<string, string | string[] | undefined>>): boolean;
  noCredential: Refusal;
  unknownModel(name: string): Refusal;
  /** Refusals ordered by a directive, by status. */
  ordered(status: number): Refusal;
  errorBody(refusal: Refusal, requestId: string): string;
}

export const isRefusal = (value: ParsedRequest | Refusal): value is Refusal => 'status' in value;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The text of a message's content, be it a string or a list of parts. */
export const textOfContent = (content: unknown): string => {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: unknown) =>
      isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '',
    )
    .join(' ');
};

export const textOfLastUser = (messages: readonly unknown[]): string => {
  const last = messages.findLast((message) => isRecord(message) && message['role'] === 'user');
  return isRecord(last) ? textOfContent(last['content']) : '';
};

const CHARACTERS_PER_TOKEN = 4;
const TOKENS_PER_MESSAGE = 3;

/** The provider's own rule for prompts nobody gave a count for: four characters a token and three tokens a message. */
export const promptTokens = (texts: readonly string[]): number =>
  texts.reduce(
    (sum, text) => sum + TOKENS_PER_MESSAGE + Math.ceil(text.length / CHARACTERS_PER_TOKEN),
    0,
  );

/** What an answer counts where nobody said anything. */
export const DEFAULT_OUTPUT_TOKENS = 24;

export const wholeOrUndefined = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;

/** Whether the answer ended because the caller's ceiling was reached. */
export const hitCeiling = (context: AnswerContext): boolean =>
  context.request.size.maxOutput !== undefined &&
  context.generation.total >= context.request.size.maxOutput;
