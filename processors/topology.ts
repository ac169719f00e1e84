import type { Processor } from '../streams/processor.ts';
import { forecaster } from './forecast/forecaster.ts';
import { resampler } from './resampler/resampler.ts';

/** All processors, in the order in which a tick and the events of others reach them. One more is its file and a line here. */
export const TOPOLOGY: readonly Processor[] = [resampler as Processor, forecaster as Processor];
