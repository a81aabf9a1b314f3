import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Refusal } from './core/answers.ts';
import { refusalBody, refusalHeaders } from './core/answers.ts';
import { clientHeaders } from './core/headers.ts';
import type { Dialect } from './core/route.ts';

/** Answers with a refusal in the caller's dialect. Where headers are out already the connection is broken instead. */
export const refuse = (
  res: ServerResponse,
  refusal: Refusal,
  about: {
    dialect: Dialect;
    requestId: string;
    close?: boolean;
    extra?: Record<string, string>;
  },
): void => {
  if (res.destroyed) return;
  if (res.headersSent) {
    res.socket?.destroy();
    return;
  }
  const body = refusalBody(refusal, about.dialect, about.requestId);
  res.writeHead(refusal.status, {
    ...refusalHeaders(refusal),
    'content-length': Buffer.byteLength(body),
    'x-reckoner-request-id': about.requestId,
    ...about.extra,
    ...(about.close ? { connection: 'close' } : {}),
  });
  res.end(body);
};

/** Passes on an answer of a provider that came whole. */
export const passOn = (
  res: ServerResponse,
  answer: { status: number; headers: IncomingHttpHeaders; body: Buffer },
  extra: Record<string, string>,
): void => {
  if (res.destroyed || res.headersSent) return;
  const { status, headers, body } = answer;
  res.writeHead(status, { ...clientHeaders(headers), 'content-length': body.length, ...extra });
  res.end(body);
};

export const respondJson = (res: ServerResponse, status: number, body: unknown): void => {
  const text = JSON.stringify(body);
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  res.end(text);
};

export const respondText = (res: ServerResponse, status: number, text: string): void => {
  res.writeHead(status, {
    'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  res.end(text);
};
