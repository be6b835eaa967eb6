/**
 * The request's fields as variables, scripts and the request to the upstream see them: those received, minus and
 * plus what scripts changed.
 */
import { Field, fieldId } from '../http1/fields.ts'
import type { HeaderAccess } from '../phases.ts'
import { checkField, FieldEdits, refuseFraming } from './field-edits.ts'

export class RequestHeaders extends FieldEdits implements HeaderAccess {
  get(name: string): string | undefined {
    return this.joined(name, fieldId(name) === Field.COOKIE ? '; ' : ', ')
  }

  getAll(name: string): string[] {
    return this.valuesOf(name)
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  set(name: string, value: string): void {
    checkField(name, value)
    refuseFraming(name)
    this.remove(name)
    this.add(name, value)
  }

  append(name: string, value: string): void {
    checkField(name, value)
    refuseFraming(name)
    this.add(name, value)
  }

  delete(name: string): void {
    refuseFraming(name)
    this.remove(name)
  }

  entries(): [string, string][] {
    return this.pairs()
  }
}
