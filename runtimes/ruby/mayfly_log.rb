# frozen_string_literal: true

# Logger and puts → log records, framed so that a message of several lines stays one record:
#
#   offset size  (big-endian)
#   0      4     0xA55A0003 (text)
#   4      4     length of the message
#   8      8     microseconds since the epoch
#   16     …     message, UTF-8

require 'logger'
require 'json'

module Mayfly
  module Log
    # Adds the request id to what Logger prints.
    class Formatter < Logger::Formatter
      FORMAT = "%s, [%s #%d] %5s %s -- %s: %s\n"

      def call(severity, time, progname, message)
        format(FORMAT, severity[0], format_datetime(time), Process.pid, severity, Log.request_id,
               progname, msg2str(message))
      end
    end

    # Replaces puts and what it is called through.
    module Puts
      def puts(*lines)
        text = StringIO.new
        text.puts(*lines)
        Log.write(text.string)
        nil
      end
    end

    # A Logger without a target of its own for its lines writes records.
    module Device
      def write(message)
        @dev.equal?($stdout) || @dev.equal?($stderr) ? Log.write(message) : super
      end
    end

    class << self
      attr_accessor :request_id

      def setup
        $stdout.sync = true
        descriptor = ENV.delete('_LAMBDA_TELEMETRY_LOG_FD')
        Logger.class_eval do
          alias_method :mayfly_initialize, :initialize
          def initialize(*args, **options, &block)
            mayfly_initialize(*args, **options, &block)
            @default_formatter = Formatter.new
          end
        end
        return unless descriptor

        @io = IO.for_fd(descriptor.to_i, 'wb')
        @io.sync = true
        @io.close_on_exec = true # not for what the function starts
        require 'stringio'
        Kernel.prepend(Puts)
        Object.prepend(Puts)
        $stdout.singleton_class.prepend(Puts)
        Logger::LogDevice.prepend(Device)
      end

      def write(text)
        return $stdout.write(text) unless @io

        bytes = text.b
        micros = (Time.now.to_r * 1_000_000).to_i
        @io.write([0xA55A0003, bytes.bytesize, micros].pack('L>L>Q>') + bytes)
      rescue Errno::EPIPE
        nil # nobody keeps logs any more
      end

      # An error of an invocation or of the start, as JSON behind its title.
      def error(shape)
        init = shape[:errorType].start_with?('Init')
        title = init ? 'Init error' : 'Error raised from handler method'
        write("#{title}\n#{JSON.pretty_generate(shape)}\n")
      end
    end
  end
end
