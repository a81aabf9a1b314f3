import { isIP } from 'node:net';
import type { SecretReference, Upstream } from '../../schemas/control-record.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import type { Logger } from '../platform/logger.ts';
import { isPrivateAddress, isPublicAddress } from './safe-connect.ts';
import { awsSigningOf } from './sign-aws.ts';

/** Why no connection will be made to an address, or null. */
const addressProblem = (upstream: Upstream): string | null => {
  const url = new URL(upstream.base_url);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const literal = isIP(host) !== 0;
  if (literal && !isPrivateAddress(host)) {
    return `${url.host} is an address where clouds hand out credentials, and such are always refused.`;
  }
  if (upstream.allow_private) return null;
  if (host === 'localhost' || (literal && !isPublicAddress(host))) {
    return `${url.host} is not a public address, and such are refused. Set allow_private: true if it is meant.`;
  }
  return url.protocol === 'https:'
    ? null
    : `${url.host} would be called without encryption, and such calls are refused. Use https, or set allow_private: true if it is meant.`;
};

/** What will keep every call to an upstream from working, in words for its operator; nothing when all looks well. */
export const upstreamProblems = (
  upstream: Upstream,
  resolveSecret: (reference: SecretReference) => string,
): string[] => {
  const problems: string[] = [];
  if (upstream.credential) {
    try {
      awsSigningOf(upstream, resolveSecret(upstream.credential));
    } catch (error) {
      problems.push(`upstream ${upstream.id}: ${(error as Error).message}`);
    }
  }
  const problem = addressProblem(upstream);
  if (problem !== null) problems.push(`upstream ${upstream.id}: ${problem}`);
  return problems;
};

/** Warns once of each problem of the upstreams in force, now and after every change of the records. */
export const warnOfUpstreams = (
  control: ControlStateFollower,
  resolveSecret: (reference: SecretReference) => string,
  logger: Logger,
): void => {
  const told = new Set<string>();
  const look = (): void => {
    for (const upstream of control.state.upstreams.values()) {
      for (const problem of upstreamProblems(upstream, resolveSecret)) {
        if (!told.has(problem)) logger.warn(problem);
        told.add(problem);
      }
    }
  };
  control.onChange(look);
  look();
};
